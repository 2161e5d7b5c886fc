"""Watch each producer's numbers: what was published and never arrived shows as a gap (D15)."""

from datetime import timedelta

from chassis.background import Background
from chassis.database import Database, DatabaseUnavailable, Transaction
from chassis.logs import get_logger
from services.audit.domain.sequences import gaps_between, remaining
from services.audit.repository import sequences
from services.audit.service.metrics import AuditMetrics

_EVERY = timedelta(seconds=15)
_NUMBERS = 10_000
_GAPS = 100
log = get_logger(__name__)


class SequenceWatch:
    """Finds gaps, closes those that filled, and reports what is missing."""

    def __init__(self, database: Database, metrics: AuditMetrics) -> None:
        self._database = database
        self._metrics = metrics

    async def watch(self) -> dict[str, int]:
        """Look at what is new; return how many events of each source are missing."""
        async with self._database.transaction() as tx:
            if await sequences.claim_watch(tx):
                for source, seen_to in (await sequences.list_sources(tx)).items():
                    await self._close(tx, source)
                    await self._advance(tx, source, seen_to)
            missing = await sequences.count_missing(tx)
        for source, count in missing.items():
            self._metrics.missing.labels(source).set(count)
        return missing

    async def run(self, background: Background) -> None:
        """Watch until *background* stops."""
        while not background.stopping.is_set():
            try:
                await self.watch()
            except DatabaseUnavailable:
                log.warning("sequences.not_watched", reason="database_unavailable")
            await background.pause(_EVERY)

    async def _close(self, tx: Transaction, source: str) -> None:
        for gap in await sequences.list_gaps(tx, source, limit=_GAPS):
            arrived = await sequences.list_numbers(
                tx, source, above=gap.first - 1, below=gap.last + 1, limit=_NUMBERS
            )
            if arrived:
                await sequences.replace_gap(tx, source, gap, remaining(gap, arrived))

    async def _advance(self, tx: Transaction, source: str, seen_to: int) -> None:
        while numbers := await sequences.list_numbers(tx, source, above=seen_to, limit=_NUMBERS):
            gaps = gaps_between(seen_to, numbers)
            await sequences.add_gaps(tx, source, gaps)
            seen_to = numbers[-1]
            await sequences.set_seen(tx, source, seen_to)
            if gaps:
                log.warning("sequence.gap_found", source=source, missing=sum(g.size for g in gaps))
