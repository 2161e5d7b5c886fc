"""Publishing with confirms: a message counts as published when the broker says so."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import structlog
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import DeliveryError, PublishError
from aiormq.abc import ChannelFrame
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader

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
        self._underlay: Any = None  # an aiormq.Channel, of which its protocol tells a part

    async def publish(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Publish all and await every confirm. Raises BusUnavailable."""
        await self._open()
        try:
            confirms = self._write(messages)
        except asyncio.QueueFull:
            await self.close()
            raise BusUnavailable("the connection is blocked") from None
        try:
            if confirms:
                await asyncio.wait(confirms, timeout=self._timeout)
        finally:
            for message in messages:
                self._underlay.message_id_delivery_tag.pop(str(message.id), None)
        results = [_outcome(*told) for told in zip(messages, confirms, strict=True)]
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

    def _write(self, messages: Sequence[Message]) -> list[asyncio.Future[Any]]:
        """Hand all over to the connection as one piece; return what their confirms will settle.

        The channel's own `basic_publish` does this for one message, with a task, a timeout and a
        write for each. Nobody else publishes here and nothing is awaited: no lock is needed.
        """
        channel, frames, confirms = self._underlay, list[Any](), []
        for message in messages:
            confirm = channel.create_future()
            channel.delivery_tag += 1
            channel.confirmations[channel.delivery_tag] = confirm
            channel.message_id_delivery_tag[str(message.id)] = channel.delivery_tag
            confirms.append(confirm)
            frames += _frames(message, channel.max_content_size)
        channel.write_queue.put_nowait(ChannelFrame.marshall(channel.number, frames))
        return confirms

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


def _frames(message: Message, at_most: int) -> list[Any]:
    """Return a message as it goes over the wire: method, header, body (AMQP 0-9-1, 2.3.5.2)."""
    body = message.body
    properties = Basic.Properties(
        content_type=CONTENT_TYPE,
        delivery_mode=_PERSISTENT,
        message_id=str(message.id),
        message_type=message.routing_key,
    )
    return [
        Basic.Publish(exchange=message.exchange, routing_key=message.routing_key, mandatory=True),
        ContentHeader(body_size=len(body), properties=properties),
        *(ContentBody(body[start : start + at_most]) for start in range(0, len(body), at_most)),
    ]


def _outcome(message: Message, confirm: asyncio.Future[Any]) -> Outcome | None:
    """Return what the broker said, or None when it said nothing."""
    if not confirm.done():
        return None
    try:
        confirm.result()
    except PublishError:
        return Outcome.UNROUTABLE
    except DeliveryError as error:
        log.warning("publish.refused", type=message.routing_key, reason=str(error))
        return Outcome.FAILED
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - a closed channel raises many kinds
        log.debug("publish.unanswered", reason=type(error).__name__)
        return None
    return Outcome.CONFIRMED
