"""Consuming one queue: batches in order, acknowledged once they are accepted."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

import structlog
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

from chassis.background import first_of
from chassis.backoff import Backoff
from chassis.bus import Accept, Delivery
from chassis.rabbitmq.link import Link

log = structlog.get_logger()

Declare = Callable[[AbstractChannel], Awaitable[AbstractQueue]]
Signal = Callable[[], None]

_AWAY = Backoff()
_HAND_BACK_SECONDS = 2


class Feed:
    """A subscription at the broker, renewed with back-off whenever it was lost.

    What *accept* refuses stays unacknowledged and is offered to it again, with back-off, so that
    a database that is away costs no delivery. The first of a batch waits *gather* for others
    while it is not full. *on_bound* and *on_lost* tell the queue's state.
    """

    def __init__(
        self,
        link: Link,
        declare: Declare,
        accept: Accept,
        *,
        name: str,
        batch_size: int,
        timeout: timedelta,
        gather: timedelta = timedelta(),
        on_bound: Signal | None = None,
        on_lost: Signal | None = None,
    ) -> None:
        self._link = link
        self._declare = declare
        self._accept = accept
        self._name = name
        self._batch_size = batch_size
        self._gather = gather
        self._timeout = timeout.total_seconds()
        self._on_bound = on_bound
        self._on_lost = on_lost
        self._stopping = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name=f"feed.{name}")

    async def stop(self) -> None:
        """Take nothing new, finish what is being accepted, hand the rest back to the queue."""
        self._stopping.set()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                async with asyncio.timeout(self._timeout):
                    channel, session = await self._open()
            except Exception as error:  # noqa: BLE001 - the client raises many kinds
                failures += 1
                if failures == 1:
                    log.warning("queue.away", queue=self._name, reason=type(error).__name__)
                await first_of(self._stopping, within=_AWAY.delay(failures))
                continue
            failures = 0
            await self._serve(channel, session)

    async def _open(self) -> tuple[AbstractChannel, "_Session"]:
        connection = await self._link.connection()
        channel = await connection.channel(publisher_confirms=False)
        await channel.set_qos(prefetch_count=2 * self._batch_size)
        queue = await self._declare(channel)
        session = _Session(queue, self._batch_size)
        channel.close_callbacks.add(session.end)
        underlay = await channel.get_underlay_channel()
        underlay.on_consumer_cancel_callbacks.add(session.end)
        await session.begin()
        return channel, session

    async def _serve(self, channel: AbstractChannel, session: "_Session") -> None:
        log.info("queue.bound", queue=self._name)
        if self._on_bound is not None:
            self._on_bound()
        try:
            while await self._take_batch(session):
                pass
            await session.hand_back()
        except Exception as error:  # noqa: BLE001 - whatever broke, the feed is renewed
            log.warning("queue.lost", queue=self._name, reason=type(error).__name__)
        finally:
            if self._on_lost is not None:
                self._on_lost()
            with suppress(Exception):
                async with asyncio.timeout(self._timeout):
                    await channel.close()

    async def _take_batch(self, session: "_Session") -> bool:
        """Accept and acknowledge what waits; say whether to go on."""
        await first_of(self._stopping, session.ended, session.arrived)
        if self._gather:
            await first_of(self._stopping, session.ended, session.filled, within=self._gather)
        if self._stopping.is_set() or session.ended.is_set():
            return False
        batch = session.take(self._batch_size)
        if not batch or not await self._accepted(session, batch):
            return not session.ended.is_set() and not self._stopping.is_set()
        async with asyncio.timeout(self._timeout):
            await batch[-1].ack(multiple=True)
        return True

    async def _accepted(self, session: "_Session", batch: list[AbstractIncomingMessage]) -> bool:
        deliveries = [_delivery(message) for message in batch]
        failures = 0
        while not (self._stopping.is_set() or session.ended.is_set()):
            try:
                await self._accept(deliveries)
            except Exception as error:  # noqa: BLE001 - kept unacknowledged, offered again
                failures += 1
                if failures == 1:
                    log.warning("delivery.refused", queue=self._name, reason=type(error).__name__)
                delay = _AWAY.delay(failures)
                await first_of(self._stopping, session.ended, within=delay)
            else:
                return True
        session.put_back(batch)
        return False


class _Session:
    """One life of a consumer: what arrived and was not taken yet, and whether it is over.

    It is `filled` while as much waits as fits into a batch.
    """

    def __init__(self, queue: AbstractQueue, batch_size: int) -> None:
        self.arrived = asyncio.Event()
        self.filled = asyncio.Event()
        self.ended = asyncio.Event()
        self._queue = queue
        self._batch_size = batch_size
        self._tag: str | None = None
        self._waiting: deque[AbstractIncomingMessage] = deque()

    async def begin(self) -> None:
        self._tag = await self._queue.consume(self._arrive)

    async def end(self, *_: object) -> None:
        """Hear that the channel closed or the broker cancelled the consumer."""
        self.ended.set()

    def take(self, size: int) -> list[AbstractIncomingMessage]:
        batch = [self._waiting.popleft() for _ in range(min(size, len(self._waiting)))]
        if not self._waiting:
            self.arrived.clear()
        if len(self._waiting) < self._batch_size:
            self.filled.clear()
        return batch

    def put_back(self, batch: list[AbstractIncomingMessage]) -> None:
        self._waiting.extendleft(reversed(batch))

    async def hand_back(self) -> None:
        """Stop the deliveries and return what waits to the queue, without counting it as failed."""
        if self.ended.is_set() or self._tag is None:
            return
        await self._queue.cancel(self._tag, timeout=_HAND_BACK_SECONDS)
        if self._waiting:
            async with asyncio.timeout(_HAND_BACK_SECONDS):
                await self._waiting[-1].nack(multiple=True, requeue=True)

    async def _arrive(self, message: AbstractIncomingMessage) -> None:
        self._waiting.append(message)
        self.arrived.set()
        if len(self._waiting) >= self._batch_size:
            self.filled.set()


def _delivery(message: AbstractIncomingMessage) -> Delivery:
    return Delivery(
        routing_key=message.routing_key or "",
        body=message.body,
        redelivered=bool(message.redelivered),
    )
