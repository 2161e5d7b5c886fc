"""The event bus over RabbitMQ."""

from collections.abc import Callable, Sequence
from datetime import timedelta

import structlog
from aio_pika.abc import AbstractChannel, AbstractQueue

from chassis.bus import (
    Accept,
    Binding,
    BusSubscription,
    Delivery,
    EventCallback,
    Message,
    Outcome,
    QueueSpec,
)
from chassis.rabbitmq.feed import Feed
from chassis.rabbitmq.link import Link
from chassis.rabbitmq.publisher import Publisher
from chassis.rabbitmq.topology import declare_ephemeral, declare_exchanges, declare_queue
from contracts.envelope import CloudEvent

log = structlog.get_logger()

_TIMEOUT = timedelta(seconds=4)
_EPHEMERAL_BATCH = 100


class RabbitMQBus:
    """Publishes over one connection and consumes over another, each opened when first needed.

    The separation keeps consumers alive while an alarm of the broker blocks publishers. *queues*
    are durable queues declared before anything is published: an event published before its
    consumer's first start then waits for it. *name* shows in the broker's list of connections,
    *timeout* bounds each conversation with it.
    """

    single_process = False

    def __init__(
        self,
        url: str,
        *,
        name: str,
        queues: Sequence[QueueSpec] = (),
        timeout: timedelta = _TIMEOUT,
    ) -> None:
        self._timeout = timeout
        self._consuming = Link(url, name=f"{name} consumes", timeout=timeout)
        publishing = Link(url, name=f"{name} publishes", timeout=timeout)
        self._publisher = Publisher(publishing, queues, timeout=timeout)
        self._feeds: list[Feed] = []

    async def publish(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Publish persistent, mandatory messages and await every confirm."""
        return await self._publisher.publish(messages)

    async def subscribe(
        self,
        queue: QueueSpec,
        accept: Accept,
        *,
        batch_size: int = 50,
        gather: timedelta = timedelta(),
    ) -> BusSubscription:
        """Consume a quorum queue that this process declares and binds itself."""

        async def declare(channel: AbstractChannel) -> AbstractQueue:
            await declare_exchanges(channel)
            return await declare_queue(channel, queue)

        feed = Feed(
            self._consuming,
            declare,
            accept,
            name=queue.name,
            batch_size=batch_size,
            gather=gather,
            timeout=self._timeout,
        )
        self._feeds.append(feed)
        return feed

    async def subscribe_ephemeral(
        self,
        bindings: Sequence[Binding],
        callback: EventCallback,
        *,
        on_bound: Callable[[], None] | None = None,
        on_lost: Callable[[], None] | None = None,
    ) -> BusSubscription:
        """Consume an exclusive auto-delete queue, made anew after each loss."""

        async def declare(channel: AbstractChannel) -> AbstractQueue:
            await declare_exchanges(channel)
            return await declare_ephemeral(channel, bindings)

        feed = Feed(
            self._consuming,
            declare,
            _calling(callback),
            name="ephemeral",
            batch_size=_EPHEMERAL_BATCH,
            timeout=self._timeout,
            on_bound=on_bound,
            on_lost=on_lost,
        )
        self._feeds.append(feed)
        return feed

    async def close(self) -> None:
        """Stop every feed, close both connections."""
        for feed in self._feeds:
            await feed.stop()
        self._feeds.clear()
        await self._publisher.close()
        await self._consuming.drop()


def _calling(callback: EventCallback) -> Accept:
    """Return an Accept that hands each event to *callback* and never gives one back."""

    async def accept(deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            try:
                await callback(CloudEvent.from_json(delivery.body))
            except Exception:
                log.exception("callback.failed", routing_key=delivery.routing_key)

    return accept
