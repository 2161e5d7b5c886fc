"""Publishing with confirms: a message counts as published when the broker says so."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import structlog
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import DeliveryError, PublishError
from pamqp.commands import Basic

from chassis.bus import BusUnavailable, Message, Outcome, QueueSpec
from chassis.rabbitmq.link import Link
from chassis.rabbitmq.topology import declare_exchanges, declare_queue
from contracts.envelope import CONTENT_TYPE

_PERSISTENT = 2
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
        self._underlay: Any = None  # of aiormq.Channel: its protocol does not know `wait`

    async def publish(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Publish all and await every confirm. Raises BusUnavailable."""
        await self._open()
        results = await asyncio.gather(*(self._publish(m) for m in messages))
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

    async def _publish(self, message: Message) -> Outcome | None:
        """Return what the broker said, or None when it said nothing."""
        try:
            await self._underlay.basic_publish(
                message.body,
                exchange=message.exchange,
                routing_key=message.routing_key,
                properties=_properties(message),
                mandatory=True,
                timeout=self._timeout,
                wait=False,  # for each to be written before the next
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

    async def _open(self) -> None:
        if self._channel is not None and not self._channel.is_closed:
            return
        try:
            async with asyncio.timeout(self._timeout):
                connection = await self._link.connection()
                channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
                await declare_exchanges(channel)
                for spec in self._queues:
                    await declare_queue(channel, spec)
                self._underlay = await channel.get_underlay_channel()
        except Exception as error:
            await self.close()
            raise BusUnavailable(type(error).__name__) from error
        self._channel = channel


def _properties(message: Message) -> Basic.Properties:
    return Basic.Properties(
        content_type=CONTENT_TYPE,
        delivery_mode=_PERSISTENT,
        message_id=str(message.id),
        message_type=message.routing_key,
    )
