"""The urgent way: events that must not wait for the broker are pushed over HTTP as well (D25)."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog
from prometheus_client import CollectorRegistry

from chassis.background import Background
from chassis.backoff import Backoff
from chassis.database import Database, DatabaseUnavailable
from chassis.delivery_metrics import OutboxMetrics
from chassis.outbox import Outbox
from chassis.outbox_rows import OutboxRow, OutboxRows
from contracts.envelope import CloudEvent

log = structlog.get_logger()

Send = Callable[[CloudEvent], Awaitable[None]]


class PushFailed(Exception):  # noqa: N818 - a state of the world
    """The other side did not acknowledge; the rows stay and are pushed again."""


class UrgentPusher:
    """Pushes urgent rows of one outbox through *send* until each is acknowledged.

    *send* returns when the other side has durably taken the event (its inbox row, which the AMQP
    way shares) and raises otherwise; it is given *timeout*. *lease* covers a whole batch.
    """

    def __init__(
        self,
        outbox: Outbox,
        database: Database,
        send: Send,
        *,
        batch_size: int = 5,
        poll: timedelta = timedelta(milliseconds=500),
        timeout: timedelta = timedelta(seconds=3),
        lease: timedelta = timedelta(seconds=20),
        backoff: Backoff | None = None,
        registry: CollectorRegistry | None = None,
    ) -> None:
        self._rows = OutboxRows(outbox.tables, database)
        self._written = outbox.urgent_written
        self._send = send
        self._batch_size = batch_size
        self._poll = poll
        self._timeout = timeout
        self._lease = lease
        self._backoff = backoff or Backoff()
        self._metrics = OutboxMetrics.of(registry)

    def start(self, background: Background) -> None:
        """Push until *background* stops; what is being sent is finished."""
        background.start("outbox.pusher", lambda: self._run(background), graceful=True)

    async def push_once(self) -> int:
        """Push one batch of due rows in order; return how many were acknowledged.

        Raises PushFailed when some were not, DatabaseUnavailable when there is nothing to claim
        from.
        """
        rows = await self._rows.claim_unpushed(lease=self._lease, limit=self._batch_size)
        acknowledged = [await self._push(row) for row in rows]
        if not all(acknowledged):
            raise PushFailed
        return len(rows)

    async def _push(self, row: OutboxRow) -> bool:
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                await self._send(row.event)
        except Exception as error:  # noqa: BLE001 - whatever it was, the row is pushed again
            await self._postpone(row, error)
            return False
        await self._rows.mark_pushed(row.id)
        self._metrics.pushed.inc()
        return True

    async def _postpone(self, row: OutboxRow, error: Exception) -> None:
        delay = self._backoff.delay(row.attempts + 1)
        reason = f"push: {type(error).__name__}"
        await self._rows.postpone_push(row.id, delay, reason)
        self._metrics.push_failures.inc()
        log.warning(
            "event.push_failed",
            reason=reason,
            type=row.routing_key,
            event_id=str(row.event_id),
            retry_in=delay.total_seconds(),
        )

    async def _run(self, background: Background) -> None:
        failures = 0
        while not background.stopping.is_set():
            try:
                pushed = await self.push_once()
            except (PushFailed, DatabaseUnavailable):
                failures += 1
                await background.pause(self._backoff.delay(failures))
                continue
            failures = 0
            if not pushed:
                await background.pause(self._poll, self._written)
