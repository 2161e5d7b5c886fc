"""What stands in the broker: two exchanges, the queues of the consumers, and where the rest goes.

Every process declares what it uses, whenever it connects; declaring twice changes nothing.
Callers bound the time.
"""

from collections.abc import Sequence

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractQueue
from pamqp.common import FieldTable

from chassis.bus import Binding, QueueSpec
from contracts.envelope import COMMANDS_EXCHANGE, EVENTS_EXCHANGE

UNROUTED = "auth.unrouted"
DEAD_LETTERS = "auth.dead-letters"

# Explicit: RabbitMQ 3 has no limit, 4 has this one, and both drop without a dead-letter exchange.
_DELIVERY_LIMIT = 20
_EPHEMERAL_LENGTH = 10_000

_LEFTOVER_LENGTH = 100_000

# What nobody wants and nobody could take is kept up to a bound, the newest of it.
_LEFTOVERS: FieldTable = {
    "x-queue-type": "quorum",
    "x-max-length": _LEFTOVER_LENGTH,
    "x-overflow": "drop-head",
}
_DURABLE: FieldTable = {
    "x-queue-type": "quorum",
    "x-delivery-limit": _DELIVERY_LIMIT,
    "x-dead-letter-exchange": DEAD_LETTERS,
    # At least once: the dead letter is confirmed before it leaves the queue.
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}


async def declare_exchanges(channel: AbstractChannel) -> None:
    """Declare the exchanges, and the queues for what nobody wants and nobody could take.

    An event without a queue is kept in `auth.unrouted`; a command without one is returned to its
    outbox, for there is one reader for it and it will come.
    """
    for name, kind in ((UNROUTED, ExchangeType.FANOUT), (DEAD_LETTERS, ExchangeType.TOPIC)):
        await channel.declare_exchange(name, kind, durable=True)
        queue = await channel.declare_queue(name, durable=True, arguments=_LEFTOVERS)
        await queue.bind(name, "#")
    await channel.declare_exchange(
        EVENTS_EXCHANGE,
        ExchangeType.TOPIC,
        durable=True,
        arguments={"alternate-exchange": UNROUTED},
    )
    await channel.declare_exchange(COMMANDS_EXCHANGE, ExchangeType.DIRECT, durable=True)


async def declare_queue(channel: AbstractChannel, spec: QueueSpec) -> AbstractQueue:
    """Declare a consumer's durable queue and bind it."""
    queue = await channel.declare_queue(spec.name, durable=True, arguments=_DURABLE)
    await _bind(queue, spec.bindings)
    return queue


async def declare_ephemeral(channel: AbstractChannel, bindings: Sequence[Binding]) -> AbstractQueue:
    """Declare a queue that dies with its connection; when it is full the oldest are dropped."""
    queue = await channel.declare_queue(
        exclusive=True,
        auto_delete=True,
        arguments={"x-max-length": _EPHEMERAL_LENGTH, "x-overflow": "drop-head"},
    )
    await _bind(queue, bindings)
    return queue


async def _bind(queue: AbstractQueue, bindings: Sequence[Binding]) -> None:
    for binding in bindings:
        await queue.bind(binding.exchange, binding.routing_key)
