"""The relay carries outbox rows to the bus: claim, publish, mark (D15).

A crash between any two of these steps ends in a second publication with the same id and number,
never in a lost one: consumers' inboxes make it one effect.
"""

from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

import structlog
from prometheus_client import CollectorRegistry

from chassis.background import Background
from chassis.backoff import Backoff
from chassis.bus import BusUnavailable, EventBus, Message, Outcome
from chassis.database import Database, DatabaseUnavailable
from chassis.delivery_metrics import OutboxMetrics
from chassis.outbox import Outbox
from chassis.outbox_rows import OutboxRow, OutboxRows

log = structlog.get_logger()

OUTBOX_RETENTION = timedelta(days=7)
_PRUNE_BATCH = 1000
_MEASURE_EVERY = timedelta(seconds=15)

# A row that failed this often on a bus that takes others waits on its own, out of their way.
_PATIENCE = 5


class Relay:
    """Publishes one outbox.

    It looks each *poll* and whenever this process has written, but lets *gather* pass after a batch
    that was not full, as a batch costs as much as thirty rows do: the first event after a silence
    leaves at once, the next ones together. A bus that is away is asked again
    after *backoff*; a message that no queue wants is tried again after *row_backoff*, without
    holding up the others. *lease* must outlast a publication, or two relays publish the same rows.
    """

    def __init__(
        self,
        outbox: Outbox,
        database: Database,
        bus: EventBus,
        *,
        batch_size: int = 200,
        poll: timedelta = timedelta(milliseconds=500),
        gather: timedelta = timedelta(milliseconds=100),
        lease: timedelta = timedelta(seconds=10),
        retention: timedelta = OUTBOX_RETENTION,
        backoff: Backoff | None = None,
        row_backoff: Backoff | None = None,
        registry: CollectorRegistry | None = None,
    ) -> None:
        self._owner = uuid4()
        self._rows = OutboxRows(outbox.tables, database)
        self._written = outbox.written
        self._bus = bus
        self._batch_size = batch_size
        self._poll = poll
        self._gather = gather
        self._lease = lease
        self._retention = retention
        self._backoff = backoff or Backoff()
        self._row_backoff = row_backoff or Backoff(
            first=timedelta(seconds=1), cap=timedelta(minutes=1)
        )
        self._metrics = OutboxMetrics.of(registry)

    def start(self, background: Background) -> None:
        """Relay until *background* stops; a batch begun is finished."""
        background.start("outbox.relay", lambda: self._run(background), graceful=True)
        background.start("outbox.housekeeping", lambda: self._keep_house(background))

    async def relay_once(self, *, limit: int | None = None) -> int:
        """Claim, publish and mark one batch of at most *limit* rows; return how many were claimed.

        Raises BusUnavailable when the bus did not confirm some or all of them (they stay in the
        outbox), DatabaseUnavailable when there is nothing to claim from.
        """
        rows = await self._rows.claim_unpublished(
            self._owner, lease=self._lease, limit=limit or self._batch_size
        )
        if not rows:
            return 0
        try:
            outcomes = await self._bus.publish([_message(row) for row in rows])
        except BusUnavailable:
            self._metrics.failures.inc(len(rows))
            await self._rows.release(self._owner, [row.id for row in rows], failed=False)
            raise
        await self._record(rows, outcomes)
        return len(rows)

    async def prune(self) -> int:
        """Delete published rows past their retention, in small batches; return how many."""
        total = 0
        while deleted := await self._rows.prune(retention=self._retention, limit=_PRUNE_BATCH):
            total += deleted
        return total

    async def _record(self, rows: Sequence[OutboxRow], outcomes: Sequence[Outcome]) -> None:
        by_outcome: dict[Outcome, list[OutboxRow]] = {outcome: [] for outcome in Outcome}
        for row, outcome in zip(rows, outcomes, strict=True):
            by_outcome[outcome].append(row)
        if confirmed := by_outcome[Outcome.CONFIRMED]:
            await self._rows.mark_published([row.id for row in confirmed])
            self._metrics.published.inc(len(confirmed))
        for row in by_outcome[Outcome.UNROUTABLE]:
            self._metrics.unroutable.inc()
            await self._postpone(row, "unroutable: no queue is bound for it")
        if failed := by_outcome[Outcome.FAILED]:
            await self._give_back(failed)
            raise BusUnavailable

    async def _give_back(self, failed: Sequence[OutboxRow]) -> None:
        self._metrics.failures.inc(len(failed))
        for row in failed:
            if row.attempts >= _PATIENCE:
                await self._postpone(row, "not confirmed")
        again = [row.id for row in failed if row.attempts < _PATIENCE]
        await self._rows.release(self._owner, again, failed=True)

    async def _postpone(self, row: OutboxRow, reason: str) -> None:
        delay = self._row_backoff.delay(row.attempts + 1)
        await self._rows.postpone(row.id, delay, reason)
        log.warning(
            "event.postponed",
            reason=reason,
            type=row.routing_key,
            event_id=str(row.event_id),
            retry_in=delay.total_seconds(),
        )

    async def _run(self, background: Background) -> None:
        if self._bus.single_process:
            await self._release_leases(background)
        failures = 0
        while not background.stopping.is_set():
            try:
                # One row asks whether the bus is back; no need to lease and release a batch.
                claimed = await self.relay_once(limit=1 if failures > _PATIENCE else None)
            except (BusUnavailable, DatabaseUnavailable) as error:
                failures += 1
                _tell_away(error, failures)
                # Deliberately deaf to new rows: they must not turn the wait into a hot loop.
                await background.pause(self._backoff.delay(failures))
                continue
            failures = 0
            if claimed < self._batch_size:
                if claimed:
                    await background.pause(self._gather)
                # Set by whatever was written since the last look; nothing else asks for one.
                await background.pause(self._poll, self._written)

    async def _release_leases(self, background: Background) -> None:
        failures = 0
        while not background.stopping.is_set():
            try:
                await self._rows.release_all()
            except DatabaseUnavailable:
                failures += 1
                await background.pause(self._backoff.delay(failures))
            else:
                return

    async def _keep_house(self, background: Background) -> None:
        while not background.stopping.is_set():
            try:
                await self._measure()
                await self.prune()
            except DatabaseUnavailable:
                log.warning("outbox.not_measured", reason="database_unavailable")
            await background.pause(_MEASURE_EVERY)

    async def _measure(self) -> None:
        backlog = await self._rows.backlog()
        self._metrics.depth.set(backlog.unpublished)
        self._metrics.unpushed.set(backlog.unpushed)
        self._metrics.oldest.set(backlog.oldest.total_seconds())


def _message(row: OutboxRow) -> Message:
    return Message(
        id=row.event_id,
        exchange=row.exchange,
        routing_key=row.routing_key,
        body=row.body,
    )


def _tell_away(error: Exception, failures: int) -> None:
    """Log the first failure of a row of them; the gauges tell how long it lasts."""
    if failures == 1:
        log.warning("relay.waiting", reason=type(error).__name__, detail=str(error))
