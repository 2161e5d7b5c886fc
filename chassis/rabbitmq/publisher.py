"""Publishing with confirms: a message counts as published when the broker says so."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import DeliveryError, PublishError

from chassis.bus import BusUnavailable, Message, Outcome, QueueSpec
from chassis.rabbitmq.link import Link
from chassis.rabbitmq.topology import declare_exchanges, declare_queue
from contracts.envelope import CONTENT_TYPE

log = structlog.get_logger()


class Publisher:
    """One confirming channel; *queues* are declared with it.

    *timeout* bounds the opening of the channel and, once more, the confirms of a batch.
    """

    def __init__(self, link: Link, queues: Sequence[QueueSpec], *, timeout: timedelta) -> None:
        self._link = link
        self._queues = tuple(queues)
        self._timeout = timeout.total_seconds()
        self._channel: AbstractChannel | None = None

    async def publish(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Publish all and await every confirm. Raises BusUnavailable."""
        channel = await self._open()
        results = await asyncio.gather(*(self._publish(channel, m) for m in messages))
        if None in results:
            # A confirm that may still come must never meet the same id published again on this
            # channel: returns are told apart by message id alone.
            await self.close()
        if not any(results):
            raise BusUnavailable("no confirm")
        return [result or Outcome.FAILED for result in results]

    async def close(self) -> None:
        """Close the connection."""
        self._channel = None
        await self._link.drop()

    async def _publish(self, channel: AbstractChannel, message: Message) -> Outcome | None:
        """Return what the broker said, or None when it said nothing."""
        try:
            exchange = await channel.get_exchange(message.exchange, ensure=False)
            await exchange.publish(
                _envelope(message), message.routing_key, mandatory=True, timeout=self._timeout
            )
        except PublishError:
            return Outcome.UNROUTABLE
        except DeliveryError as error:
            log.warning("publish.refused", type=message.routing_key, reason=str(error))
            return Outcome.FAILED
        except Exception as error:  # noqa: BLE001 - closed channels and sockets raise many kinds
            log.debug("publish.unanswered", reason=type(error).__name__)
            return None
        return Outcome.CONFIRMED

    async def _open(self) -> AbstractChannel:
        if self._channel is not None and not self._channel.is_closed:
            return self._channel
        try:
            async with asyncio.timeout(self._timeout):
                connection = await self._link.connection()
                channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
                await declare_exchanges(channel)
                for spec in self._queues:
                    await declare_queue(channel, spec)
        except Exception as error:
            await self.close()
            raise BusUnavailable(type(error).__name__) from error
        self._channel = channel
        return channel


def _envelope(message: Message) -> aio_pika.Message:
    return aio_pika.Message(
        message.body,
        content_type=CONTENT_TYPE,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=str(message.id),
        type=message.routing_key,
    )
