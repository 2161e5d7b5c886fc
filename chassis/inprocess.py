"""The event bus inside one process: the outbox is the durable queue, a publication is a call.

A message is confirmed only when the inbox of every queue it belongs to has committed a row for
it. Killed at any moment, the relay's next start publishes again what was not marked.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from chassis.background import first_of
from chassis.bus import (
    Accept,
    Binding,
    BusSubscription,
    BusUnavailable,
    Delivery,
    EventCallback,
    Message,
    Outcome,
    QueueSpec,
)
from contracts.envelope import EVENTS_EXCHANGE, CloudEvent

log = structlog.get_logger()

# A relay that starts a little before the last consumer need not fall back to its back-off.
_PATIENCE = timedelta(seconds=2)


@dataclass(slots=True)
class _Queue:
    """A known queue; without *accept* nobody reads it now, and its messages wait."""

    spec: QueueSpec
    accept: Accept | None = None
    batch_size: int = 1
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class InProcessBus:
    """Hands messages to the consumers of this process.

    Nothing is published before `open`: who builds the process calls it once every consumer has
    subscribed, for an event published earlier would miss the later ones. A queue stays known when
    its consumer stops (its messages then wait in the outbox), and *queues* are known from the
    start. An event for which no queue is known is confirmed, a command is not.
    """

    single_process = True

    def __init__(self, queues: Sequence[QueueSpec] = ()) -> None:
        self._queues = {spec.name: _Queue(spec) for spec in queues}
        self._listeners: list[_Listener] = []
        self._opened = asyncio.Event()

    def open(self) -> None:
        """Begin to publish: every consumer of this process has subscribed."""
        self._opened.set()

    async def publish(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Have every message accepted by every queue it belongs to; queues do not wait in line.

        Raises BusUnavailable before the bus is open.
        """
        await first_of(self._opened, within=_PATIENCE)
        if not self._opened.is_set():
            raise BusUnavailable("not open: open() is called when all consumers have subscribed")
        wanted = [_Wanted(queue, messages) for queue in tuple(self._queues.values())]
        results = await asyncio.gather(*(one.hand_over() for one in wanted if one.places))
        refused = frozenset[int]().union(*results)
        taken = {place for one in wanted for place in one.places}
        outcomes = [
            Outcome.FAILED if place in refused else _outcome(message, taken=place in taken)
            for place, message in enumerate(messages)
        ]
        self._tell_listeners(messages, outcomes)
        return outcomes

    async def subscribe(
        self,
        queue: QueueSpec,
        accept: Accept,
        *,
        batch_size: int = 50,
        gather: timedelta = timedelta(),  # noqa: ARG002 - what comes together is published together
    ) -> BusSubscription:
        """Feed *accept* with what is published for *queue*."""
        known = self._queues.setdefault(queue.name, _Queue(queue))
        if known.accept is not None:
            raise ValueError(f"{queue.name} has a consumer in this process")
        known.spec, known.accept, known.batch_size = queue, accept, batch_size
        return _Subscription(known)

    async def subscribe_ephemeral(
        self,
        bindings: Sequence[Binding],
        callback: EventCallback,
        *,
        on_bound: Callable[[], None] | None = None,
        on_lost: Callable[[], None] | None = None,  # noqa: ARG002 - a process does not lose itself
    ) -> BusSubscription:
        """Feed *callback* with confirmed events from now on."""
        listener = _Listener(QueueSpec("", tuple(bindings)), callback, self._listeners)
        self._listeners.append(listener)
        if on_bound is not None:
            on_bound()
        return listener

    async def close(self) -> None:
        """Stop every subscription."""
        for queue in self._queues.values():
            await _Subscription(queue).stop()
        for listener in tuple(self._listeners):
            await listener.stop()

    def _tell_listeners(self, messages: Sequence[Message], outcomes: Sequence[Outcome]) -> None:
        for message, outcome in zip(messages, outcomes, strict=True):
            if outcome is not Outcome.CONFIRMED:
                continue
            for listener in self._listeners:
                if listener.spec.wants(message.exchange, message.routing_key):
                    listener.waiting.put_nowait(message.body)


class _Wanted:
    """The part of a published batch that belongs to one queue; `places` index the batch."""

    def __init__(self, queue: _Queue, messages: Sequence[Message]) -> None:
        self.places = [
            place
            for place, message in enumerate(messages)
            if queue.spec.wants(message.exchange, message.routing_key)
        ]
        self._queue = queue
        self._messages = messages

    async def hand_over(self) -> set[int]:
        """Have the messages accepted in order; return the places of those that were not."""
        size = self._queue.batch_size
        async with self._queue.turn:
            for start in range(0, len(self.places), size):
                if not await self._accepted(self.places[start : start + size]):
                    # Nothing may overtake what failed.
                    return set(self.places[start:])
        return set()

    async def _accepted(self, places: Sequence[int]) -> bool:
        if self._queue.accept is None:
            return False
        messages = [self._messages[place] for place in places]
        try:
            await self._queue.accept(
                [Delivery(routing_key=m.routing_key, body=m.body) for m in messages]
            )
        except Exception as error:  # noqa: BLE001 - the relay publishes it again, with back-off
            log.warning(
                "delivery.refused", queue=self._queue.spec.name, reason=type(error).__name__
            )
            return False
        return True


@dataclass(frozen=True, slots=True)
class _Subscription:
    queue: _Queue

    async def stop(self) -> None:
        """Let what is being accepted finish; the queue stays known."""
        async with self.queue.turn:
            self.queue.accept = None


class _Listener:
    """One ephemeral subscription with its own task, so that a slow one delays no relay."""

    def __init__(
        self, spec: QueueSpec, callback: EventCallback, listeners: list["_Listener"]
    ) -> None:
        self.spec = spec
        self.waiting: asyncio.Queue[bytes] = asyncio.Queue()
        self._callback = callback
        self._listeners = listeners
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Forget what was not handed over."""
        if self in self._listeners:
            self._listeners.remove(self)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            body = await self.waiting.get()
            try:
                await self._callback(CloudEvent.from_json(body))
            except Exception:
                log.exception("callback.failed")


def _outcome(message: Message, *, taken: bool) -> Outcome:
    if taken or message.exchange == EVENTS_EXCHANGE:
        return Outcome.CONFIRMED
    return Outcome.UNROUTABLE
