"""A consumer: one queue, its subscriptions, and exactly one effect per message (D15).

The inbox row and the effect are one transaction. A handler that fails costs its message a place
in the retry schedule and nobody else anything; after the last attempt it lies with the dead
letters, in this service's own database, until somebody redrives it.
"""

from collections.abc import Sequence
from datetime import timedelta

import structlog
from prometheus_client import CollectorRegistry

from chassis.background import Background
from chassis.backoff import Backoff
from chassis.bus import Delivery, EventBus, QueueSpec
from chassis.clock import Clock
from chassis.database import Database, DatabaseUnavailable
from chassis.delivery_metrics import InboxMetrics
from chassis.inbox import InboxTables, Letter
from chassis.inbox_rows import Inbox
from chassis.retries import MAX_ATTEMPTS, RETRY, Retries
from chassis.subscriptions import BatchHandler, Handlers, Subscription, Unprocessable
from contracts.envelope import CloudEvent, EnvelopeError

log = structlog.get_logger()

INBOX_RETENTION = timedelta(days=14)
DEAD_LETTERS_KEPT = 100_000
_MEASURE_EVERY = timedelta(seconds=15)
_PRUNE_BATCH = 1000

_Readable = tuple[CloudEvent, bytes]


class Consumer:
    """Takes the messages of *queue*.

    Up to *batch_size* waiting messages share a transaction, the first waiting *gather* for others;
    when it fails, each gets its own.
    With a *batch_handler* the subscriptions only say what the queue is bound to. A failed message
    is tried again after *retry*'s delays until *max_attempts* have failed; handlers get
    *handler_timeout*.
    """

    def __init__(
        self,
        queue: str,
        subscriptions: Sequence[Subscription],
        database: Database,
        tables: InboxTables,
        clock: Clock,
        *,
        batch_handler: BatchHandler | None = None,
        batch_size: int = 50,
        gather: timedelta = timedelta(),
        retry: Backoff = RETRY,
        max_attempts: int = MAX_ATTEMPTS,
        handler_timeout: timedelta = timedelta(seconds=30),
        poll: timedelta = timedelta(seconds=1),
        registry: CollectorRegistry | None = None,
    ) -> None:
        self.queue = queue
        self._handlers = Handlers(subscriptions, batch_handler, timeout=handler_timeout)
        self._database = database
        self._inbox = Inbox(queue, tables)
        self._clock = clock
        self._batch_size = batch_size
        self._gather = gather
        self._metrics = InboxMetrics.of(registry)
        self._retries = Retries(
            self._inbox,
            self._handlers,
            database,
            self._metrics,
            backoff=retry,
            max_attempts=max_attempts,
            poll=poll,
        )

    @property
    def spec(self) -> QueueSpec:
        """Return the durable queue this consumer reads."""
        return QueueSpec(self.queue, self._handlers.bindings)

    async def start(self, bus: EventBus, background: Background) -> None:
        """Take messages from *bus* and run due retries until *background* stops."""
        subscription = await bus.subscribe(
            self.spec, self.accept_deliveries, batch_size=self._batch_size, gather=self._gather
        )
        background.at_stop(subscription.stop)
        name = f"consumer.{self.queue}"
        background.start(f"{name}.retries", lambda: self._retries.run(background), graceful=True)
        background.start(f"{name}.housekeeping", lambda: self._keep_house(background))

    async def accept(self, event: CloudEvent) -> None:
        """Take one event that came another way (HTTP): same inbox row, one effect in all.

        Returns once the event is durably dealt with, be it as a retry. Raises Unprocessable when
        it is not one of this queue, DatabaseUnavailable.
        """
        if refusal := self._handlers.refusal(event):
            raise Unprocessable(refusal)
        await self._take([(event, event.to_json())])

    async def accept_deliveries(self, deliveries: Sequence[Delivery]) -> None:
        """Deal durably with each delivery, in order. Raises DatabaseUnavailable alone."""
        readable: list[_Readable] = []
        for delivery in deliveries:
            event = await self._read(delivery)
            if event is not None:
                readable.append((event, delivery.body))
        if readable:
            await self._take(readable)

    async def retry_once(self) -> bool:
        """Try the message whose retry is due longest; say whether there was one."""
        return await self._retries.retry_once()

    async def redrive(self) -> int:
        """Give every dead letter of this queue all its attempts again; return how many."""
        return await self._retries.redrive()

    async def keep_house(self) -> None:
        """Measure what waits, delete what is past its retention, in small batches."""
        async with self._database.transaction() as tx:
            waiting = await self._inbox.count(tx)
        self._metrics.retrying.labels(self.queue).set(waiting["retry"])
        self._metrics.dead.labels(self.queue).set(waiting["dead"])
        while await self._prune():
            pass
        while waiting["dead"] > DEAD_LETTERS_KEPT and await self._drop_dead():
            pass

    async def _read(self, delivery: Delivery) -> CloudEvent | None:
        """Return the event, or None when the delivery had to be buried."""
        try:
            event = CloudEvent.from_json(delivery.body)
        except EnvelopeError as error:
            letter = Letter.unreadable(delivery.body)
            await self._retries.bury(letter, Unprocessable(f"unreadable: {error}"))
            return None
        if refusal := self._handlers.refusal(event, delivery.routing_key):
            await self._retries.bury(Letter.of(event, delivery.body), Unprocessable(refusal))
            return None
        return event

    async def _take(self, batch: Sequence[_Readable]) -> None:
        try:
            await self._together(batch)
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it was, the message is kept
            if len(batch) == 1:
                await self._retries.postpone(Letter.of(*batch[0]), error)
                return
            for one in batch:
                await self._take([one])

    async def _together(self, batch: Sequence[_Readable]) -> None:
        events = list({event.id: event for event, _ in batch}.values())
        async with self._database.transaction() as tx:
            new = await self._inbox.claim(tx, events)
            fresh = [event for event in events if event.id in new]
            if fresh:
                await self._handlers.call(tx, fresh)
        self._metrics.processed.labels(self.queue).inc(len(fresh))
        self._metrics.duplicates.labels(self.queue).inc(len(batch) - len(fresh))
        now = self._clock.now()
        for event in fresh:
            self._metrics.lag.labels(self.queue).observe((now - event.time).total_seconds())

    async def _keep_house(self, background: Background) -> None:
        while not background.stopping.is_set():
            try:
                await self.keep_house()
            except DatabaseUnavailable:
                log.warning("inbox.not_measured", reason="database_unavailable")
            await background.pause(_MEASURE_EVERY)

    async def _prune(self) -> int:
        async with self._database.transaction() as tx:
            return await self._inbox.prune(tx, retention=INBOX_RETENTION, limit=_PRUNE_BATCH)

    async def _drop_dead(self) -> int:
        async with self._database.transaction() as tx:
            dropped = await self._inbox.drop_dead(tx, keep=DEAD_LETTERS_KEPT, limit=_PRUNE_BATCH)
        self._metrics.dropped.labels(self.queue).inc(dropped)
        log.error("dead_letters.dropped", queue=self.queue, count=dropped)
        return dropped
