"""The event bus as a port: what relays publish to and consumers are fed by.

Two implementations stand behind it: `chassis.rabbitmq` between processes, `chassis.inprocess`
inside one. Both promise the same: at least once, in order per queue until something fails.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Protocol, Self
from uuid import UUID

from contracts.envelope import COMMANDS_EXCHANGE, EVENTS_EXCHANGE, CloudEvent
from contracts.queues import PLATFORM_QUEUES


class BusUnavailable(Exception):  # noqa: N818 - a state of the world, like DatabaseUnavailable
    """The bus cannot be reached; nothing of the batch may be taken for published."""


class Outcome(Enum):
    """What became of one published message."""

    CONFIRMED = "confirmed"
    """Every queue it belongs to has it on disk."""
    UNROUTABLE = "unroutable"
    """No queue wants it; only the publisher still has it."""
    FAILED = "failed"
    """Not confirmed: it may or may not have arrived, publish it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message to publish; `body` is a structured-mode CloudEvent."""

    id: UUID
    exchange: str
    routing_key: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One message handed to a consumer; `redelivered` means that it may have been seen before."""

    routing_key: str
    body: bytes
    redelivered: bool = False


@dataclass(frozen=True, slots=True)
class Binding:
    """What a queue asks for: a routing key, on the events exchange also a topic pattern."""

    routing_key: str
    exchange: str = EVENTS_EXCHANGE

    @classmethod
    def command(cls, routing_key: str) -> Self:
        """Bind to private work orders of this type."""
        return cls(routing_key, COMMANDS_EXCHANGE)

    def matches(self, exchange: str, routing_key: str) -> bool:
        """Say whether a message published there belongs to the queue."""
        if exchange != self.exchange:
            return False
        if exchange == COMMANDS_EXCHANGE:
            return routing_key == self.routing_key
        return topic_matches(self.routing_key, routing_key)


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """A durable queue: its name and what it is bound to."""

    name: str
    bindings: tuple[Binding, ...]

    def wants(self, exchange: str, routing_key: str) -> bool:
        """Say whether a message published there belongs to this queue."""
        return any(binding.matches(exchange, routing_key) for binding in self.bindings)


def platform_queues() -> tuple[QueueSpec, ...]:
    """Return the platform's own queues, for producers to declare before they publish."""
    return tuple(
        QueueSpec(name, tuple(Binding(key, exchange) for exchange, key in bindings))
        for name, bindings in PLATFORM_QUEUES.items()
    )


Accept = Callable[[Sequence[Delivery]], Awaitable[None]]
"""Takes deliveries in order and returns once each is durably dealt with; raising hands all back."""

EventCallback = Callable[[CloudEvent], Awaitable[None]]


class BusSubscription(Protocol):
    """A running consumption of one queue."""

    async def stop(self) -> None:
        """Take nothing new, finish what is being accepted; the queue keeps the rest."""
        ...


class EventBus(Protocol):
    """Publishes messages and feeds queues."""

    @property
    def single_process(self) -> bool:
        """True when this process is the only one that relays its outboxes.

        Leases found at the start are then left by a dead process and need not be waited for.
        """
        ...

    async def publish(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Publish a batch in order; return one outcome per message.

        Raises BusUnavailable when nothing could be published.
        """
        ...

    async def subscribe(
        self,
        queue: QueueSpec,
        accept: Accept,
        *,
        batch_size: int = 50,
        gather: timedelta = timedelta(),
    ) -> BusSubscription:
        """Feed *accept* with what waits in *queue*, at most *batch_size* messages at once.

        The first of a batch may wait *gather* for others to come. Does not wait for a bus that is
        away: the feed starts when it is back.
        """
        ...

    async def subscribe_ephemeral(
        self,
        bindings: Sequence[Binding],
        callback: EventCallback,
        *,
        on_bound: Callable[[], None] | None = None,
        on_lost: Callable[[], None] | None = None,
    ) -> BusSubscription:
        """Feed *callback* with events published from now on, as long as this process lives.

        Best effort: what is published while the bus is away is missed, what *callback* raises is
        logged. *on_bound* is called whenever the queue has been (re)bound: everything published
        after it arrives, until *on_lost* is called.
        """
        ...

    async def close(self) -> None:
        """Stop every subscription and give back every connection."""
        ...


def topic_matches(pattern: str, routing_key: str) -> bool:
    """Match as an AMQP topic exchange: `*` is exactly one word, `#` any number of them."""
    return _words_match(pattern.split("."), routing_key.split("."))


def _words_match(pattern: list[str], words: list[str]) -> bool:
    if not pattern:
        return not words
    head, rest = pattern[0], pattern[1:]
    if head == "#":
        return any(_words_match(rest, words[start:]) for start in range(len(words) + 1))
    return bool(words) and head in ("*", words[0]) and _words_match(rest, words[1:])
