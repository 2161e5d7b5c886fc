"""Housekeeping of what the detector and the statistics keep: every table has a bound."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from chassis.background import Background
from chassis.clock import Clock
from chassis.database import Database, DatabaseUnavailable, Transaction
from chassis.logs import get_logger
from services.audit.domain.statistics import KEPT, floor
from services.audit.repository import activity, alerts, evidence, suspects

EVIDENCE_MOST = 2_000_000
SUSPECTS_MOST = 100_000
ALERTS_MOST = 100_000
"""How many rows are kept at most; the oldest go first, of evidence only what was judged."""

LATENESS = timedelta(hours=6)
"""How much later than its like evidence may come and still be judged with it."""

_EVERY = timedelta(minutes=1)
_BATCH = 1000
log = get_logger(__name__)

_Prune = Callable[[Transaction], Awaitable[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Housekeeping:
    """Deletes what has had its time, in small batches.

    *evidence_life* is the longest window of a rule, *alert_life* how long alerts are kept.
    """

    database: Database
    clock: Clock
    evidence_life: timedelta
    alert_life: timedelta
    evidence_most: int = EVIDENCE_MOST
    suspects_most: int = SUSPECTS_MOST
    alerts_most: int = ALERTS_MOST

    async def clean(self) -> int:
        """Delete everything that is due; return how many rows went. Raises DatabaseUnavailable."""
        tasks = (self._evidence, self._suspects, self._alerts, self._activity)
        return sum([await self._exhaust(task) for task in tasks])

    async def run(self, background: Background) -> None:
        """Clean up once a minute until *background* stops."""
        while not background.stopping.is_set():
            try:
                deleted = await self.clean()
            except DatabaseUnavailable:
                log.warning("housekeeping.postponed", reason="database_unavailable")
            else:
                if deleted:
                    log.info("housekeeping.done", rows=deleted)
            await background.pause(_EVERY)

    async def _exhaust(self, prune: _Prune) -> int:
        total, deleted = 0, _BATCH
        while deleted >= _BATCH:
            async with self.database.transaction() as tx:
                deleted = await prune(tx)
            total += deleted
        return total

    async def _evidence(self, tx: Transaction) -> int:
        life = self.evidence_life + LATENESS
        return await evidence.prune(tx, retention=life, most=self.evidence_most, limit=_BATCH)

    async def _suspects(self, tx: Transaction) -> int:
        life = self.evidence_life + LATENESS
        return await suspects.prune(tx, retention=life, most=self.suspects_most, limit=_BATCH)

    async def _alerts(self, tx: Transaction) -> int:
        return await alerts.prune(
            tx,
            now=self.clock.now(),
            retention=self.alert_life,
            most=self.alerts_most,
            limit=_BATCH,
        )

    async def _activity(self, tx: Transaction) -> int:
        before = floor(self.clock.now() - KEPT, "day")
        return await activity.fold(tx, before=before, limit=_BATCH)
