"""Keep partitions ahead of time: the current one and three more (D18)."""

from datetime import timedelta

from chassis.background import Background
from chassis.database import Database, DatabaseUnavailable, Transaction
from chassis.logs import get_logger
from services.audit.repository import partitions
from services.audit.service.metrics import AuditMetrics

AHEAD = 3

_EVERY = timedelta(days=1)
_AGAIN = timedelta(seconds=5)
log = get_logger(__name__)


class Partitions:
    """Makes partitions of one *unit* (`month` or `day`)."""

    def __init__(self, database: Database, metrics: AuditMetrics, *, unit: str) -> None:
        self._database = database
        self._metrics = metrics
        self._unit = unit
        self._ready = False

    async def ensure(self) -> int:
        """Make what is missing; return how many were made. Raises DatabaseUnavailable."""
        async with self._database.transaction() as tx:
            made = await self._ensure(tx)
        async with self._database.transaction() as tx:
            self._metrics.default_rows.set(await partitions.count_default(tx))
        if made:
            log.info("partitions.made", count=made, unit=self._unit)
        return made

    async def ensure_before_first_row(self, tx: Transaction) -> None:
        """See to it that no row of this process lands in DEFAULT because it came too early."""
        if not self._ready:
            await self._ensure(tx)

    async def run(self, background: Background) -> None:
        """Ensure them now and daily until *background* stops."""
        while not background.stopping.is_set():
            try:
                await self.ensure()
            except DatabaseUnavailable:
                log.warning("partitions.not_ensured", reason="database_unavailable")
                await background.pause(_AGAIN)
            else:
                await background.pause(_EVERY)

    async def _ensure(self, tx: Transaction) -> int:
        made = await partitions.ensure(tx, unit=self._unit, ahead=AHEAD)
        tx.after_commit(self._mark_ready)
        return made

    def _mark_ready(self) -> None:
        self._ready = True
