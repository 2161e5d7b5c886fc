"""Signing keys: made at the first start, rotated unattended, the same in every replica (D11)."""

from datetime import timedelta

from chassis.background import Background
from chassis.database import DatabaseUnavailable
from chassis.logs import get_logger
from services.token.domain.keys import Rotation, plan_rotation
from services.token.repository import signing_keys as rows
from services.token.service.key_metrics import KeyMetrics
from services.token.service.resealing import Resealing
from services.token.service.signing_keys import KeysRead, SigningKeys

LOOK_EVERY = timedelta(milliseconds=500)
"""How long a replica may sign on after another one has revoked its key."""

log = get_logger(__name__)


class KeyRotation:
    """Keeps the keys of this process equal to the database, and moves those on when it is time."""

    def __init__(self, keys: SigningKeys, metrics: KeyMetrics) -> None:
        self._keys = keys
        self._metrics = metrics
        self._resealing = Resealing(keys)
        self._complained: frozenset[str] = frozenset()

    async def rotate(self) -> None:
        """Do what the time asks for, if anything, and load the keys. Raises DatabaseUnavailable."""
        found = await self._keys.load()
        if plan := self._plan(found):
            await self._rotate(plan)
            found = await self._keys.load()
        if await self._resealing.reseal(found):
            found = await self._keys.load()
        self._metrics.show(found, self._keys.ring)
        self._complain()

    async def run(self, background: Background) -> None:
        """Rotate and load, twice a second, until *background* stops."""
        away = False
        while not background.stopping.is_set():
            await background.pause(LOOK_EVERY)
            try:
                await self.rotate()
                away = False
            except DatabaseUnavailable:
                if not away:  # one line per outage
                    log.warning("signing_keys.not_loaded", reason="database_unavailable")
                away = True

    async def _rotate(self, wanted: Rotation) -> None:
        fresh = await self._keys.generate() if wanted.create else None
        async with self._keys.database.transaction() as tx:
            found = await self._keys.lock(tx)
            plan = self._plan(found)
            await rows.delete_keys(tx, plan.drop)
            if plan.create and fresh:
                await self._keys.add(tx, fresh, state=plan.create, now=found.now)
            if plan.activate:
                if plan.retire:
                    await rows.mark_retired(tx, plan.retire, now=found.now)
                await rows.mark_active(tx, plan.activate, now=found.now)
                await self._keys.tell_rotated(tx, plan.activate, plan.retire, None)
        if plan.drop:
            log.info("signing_keys.dropped", kids=list(plan.drop))

    def _plan(self, found: KeysRead) -> Rotation:
        """Say what is to be done; no key comes to sign that this process could not sign with."""
        plan = plan_rotation(found.lives, now=found.now, policy=self._keys.policy)
        if plan.activate and not self._keys.ring.opens(found.get(plan.activate)):
            return Rotation(drop=plan.drop)
        return plan

    def _complain(self) -> None:
        """Log once, and again when it changes, which keys cannot be opened."""
        unopened = self._keys.ring.unopened
        if unopened - self._complained:
            log.error("signing_keys.not_opened", kids=sorted(unopened))
        self._complained = unopened
