"""Signing keys: made at the first start, rotated unattended, the same in every replica (D11)."""

import asyncio
from datetime import datetime, timedelta

from chassis.background import Background
from chassis.clock import Clock
from chassis.database import Database, DatabaseUnavailable, Transaction
from chassis.logs import get_logger
from chassis.outbox import Outbox
from contracts.token import SigningKeyRotated
from services.token.domain.keys import Rotation, RotationPolicy, plan_rotation
from services.token.keys import KeyRing, StoredKey, generate_key
from services.token.repository import signing_keys as rows

_LOOK_EVERY = timedelta(seconds=5)
log = get_logger(__name__)


class KeyRotation:
    """Keeps the keys of this process equal to the database, and moves those on when it is time."""

    def __init__(
        self,
        *,
        database: Database,
        outbox: Outbox,
        ring: KeyRing,
        clock: Clock,
        policy: RotationPolicy,
        encryption_keys: tuple[bytes, ...],
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._ring = ring
        self._clock = clock
        self._policy = policy
        self._encryption_keys = encryption_keys

    async def rotate(self) -> None:
        """Do what the time asks for, if anything, and load the keys.

        Raises DatabaseUnavailable, SealBrokenError under the wrong encryption keys.
        """
        async with self._database.transaction() as tx:
            keys = await rows.list_keys(tx)
        if self._plan([*keys], self._clock.now()):
            keys = await self._rotate()
        self._ring.load(keys)

    async def run(self, background: Background) -> None:
        """Rotate and load every few seconds until *background* stops."""
        while not background.stopping.is_set():
            await background.pause(_LOOK_EVERY)
            try:
                await self.rotate()
            except DatabaseUnavailable:
                log.warning("signing_keys.not_loaded", reason="database_unavailable")

    async def _rotate(self) -> list[StoredKey]:
        # Made before the lock is taken: RSA needs its time, and no request should wait for it.
        fresh = await asyncio.to_thread(generate_key, self._policy.algorithm)
        now = self._clock.now()
        async with self._database.transaction() as tx:
            await rows.lock_rotation(tx)
            keys = await rows.list_keys(tx)
            plan = self._plan([*keys], now)
            await rows.delete_keys(tx, plan.drop)
            if plan.create:
                sealed = fresh.sealed(self._encryption_keys)
                await rows.add_key(tx, fresh, sealed=sealed, state=plan.create, now=now)
            await self._hand_over(tx, plan, now)
            return [*await rows.list_keys(tx)]

    async def _hand_over(self, tx: Transaction, plan: Rotation, now: datetime) -> None:
        if plan.activate is None:
            return
        if plan.retire is not None:
            await rows.mark_retired(tx, plan.retire, now=now)
        await rows.mark_active(tx, plan.activate, now=now)
        fact = SigningKeyRotated(kid=plan.activate, previous_kid=plan.retire)
        await self._outbox.emit(tx, fact, subject=plan.activate, caller=None)

    def _plan(self, keys: list[StoredKey], now: datetime) -> Rotation:
        return plan_rotation([key.life for key in keys], now=now, policy=self._policy)
