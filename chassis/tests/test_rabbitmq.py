"""What RabbitMQ adds to the conformance suite: brokers that die, hang, or have no queue."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Self

import aio_pika
import pytest
from yarl import URL

from chassis.bus import Binding, BusUnavailable, Delivery, Message, Outcome
from chassis.rabbitmq import RabbitMQBus
from chassis.rabbitmq.topology import UNROUTED
from chassis.testing import eventually
from chassis.testing.servers import RabbitMQServer
from chassis.tests.event_world import Recorder, World, drawn, spec_of
from contracts.envelope import EVENTS_EXCHANGE, CloudEvent

pytestmark = pytest.mark.real


def message(number: int) -> Message:
    """Return a publishable event."""
    event = drawn(number)
    return Message(
        id=event.id, exchange=EVENTS_EXCHANGE, routing_key=event.type, body=event.to_json()
    )


class TestBrokerDies:
    """kill -9 of the only broker loses nothing and doubles nothing."""

    async def test_everything_committed_arrives_once(
        self, world: World, rabbitmq: RabbitMQServer, rabbitmq_url: str
    ) -> None:
        """Events of before, during and after the outage; ephemeral queues are bound again."""
        consumer = world.consumer(Recorder("test"))
        bus = RabbitMQBus(rabbitmq_url, name="tests", queues=spec_of(consumer))
        signals: list[str] = []

        async def ignore(_event: CloudEvent) -> None:
            """Only the signals matter here."""

        await bus.subscribe_ephemeral(
            [Binding("#")],
            ignore,
            on_bound=lambda: signals.append("bound"),
            on_lost=lambda: signals.append("lost"),
        )
        async with world.running(bus, consumer):
            await world.emit(range(10))
            await eventually(lambda: _count(world, 10))
            rabbitmq.settle()
            await world.emit(range(10, 20))
            rabbitmq.kill()
            await world.emit(range(20, 30))
            rabbitmq.launch()
            await asyncio.to_thread(rabbitmq.wait_ready)
            await world.emit(range(30, 40))
            await eventually(lambda: _count(world, 40), within=60)
            await eventually(lambda: signals == ["bound", "lost", "bound"], within=60)
        assert sorted(await world.effects()) == list(range(40))
        assert await world.unpublished() == 0


class TestBrokerAway:
    """Without a broker there is an exception in time, never a confirm."""

    async def test_refused_connection(self, world: World) -> None:
        """Events stay in the outbox while nobody listens."""
        bus = RabbitMQBus("amqp://guest:guest@127.0.0.1:1/", name="tests")
        await world.emit([1])
        with pytest.raises(BusUnavailable):
            await world.relay(bus).relay_once()
        await bus.close()
        assert await world.unpublished() == 1

    async def test_silent_broker(self) -> None:
        """A broker that takes connections and says nothing is away too."""
        async with _silent_server() as url:
            bus = RabbitMQBus(url, name="tests", timeout=timedelta(milliseconds=200))
            with pytest.raises(BusUnavailable):
                await bus.publish([message(1)])
            await bus.close()

    async def test_partition(self, rabbitmq_url: str, world: World) -> None:
        """A connection that carries nothing any more gives no confirm; a new one does."""
        async with _Wire.to(rabbitmq_url) as wire:
            spec = world.consumer(Recorder("test")).spec
            bus = RabbitMQBus(
                wire.url, name="tests", queues=[spec], timeout=timedelta(milliseconds=800)
            )
            await eventually(lambda: _confirmed(bus))
            wire.cut.set()
            with pytest.raises(BusUnavailable):
                await bus.publish([message(2), message(3)])
            wire.cut.clear()
            await eventually(lambda: _confirmed(bus))
            await bus.close()


class TestConfirms:
    """An event counts as published when it lies in a queue."""

    async def test_event_nobody_wants_is_kept(self, rabbitmq_url: str) -> None:
        """The alternate exchange's queue has it."""
        bus = RabbitMQBus(rabbitmq_url, name="tests")
        lost = message(1)
        assert await bus.publish([lost]) == [Outcome.CONFIRMED]
        await bus.close()
        assert await _first_body(rabbitmq_url, UNROUTED) == lost.body

    async def test_many_in_flight(self, rabbitmq_url: str, world: World) -> None:
        """Each of a batch has its own confirm."""
        spec = world.consumer(Recorder("test")).spec
        bus = RabbitMQBus(rabbitmq_url, name="tests", queues=[spec])
        outcomes = await bus.publish([message(n) for n in range(300)])
        await bus.close()
        assert set(outcomes) == {Outcome.CONFIRMED}

    async def test_body_of_several_frames(self, rabbitmq_url: str) -> None:
        """What is larger than a frame of the broker's arrives whole, and so does its neighbour."""
        bus = RabbitMQBus(rabbitmq_url, name="tests")
        large = replace(message(1), body=b"gatehouse" * 50_000)
        assert await bus.publish([large, message(2)]) == [Outcome.CONFIRMED] * 2
        await bus.close()
        assert await _first_body(rabbitmq_url, UNROUTED) == large.body

    async def test_survives_a_lost_connection(self, rabbitmq_url: str, world: World) -> None:
        """The next publication opens a new one."""
        spec = world.consumer(Recorder("test")).spec
        bus = RabbitMQBus(rabbitmq_url, name="tests", queues=[spec])
        await bus.publish([message(1)])
        connection = await bus._publisher._link.connection()
        await connection.close()
        assert await bus.publish([message(2)]) == [Outcome.CONFIRMED]
        await bus.close()


class TestFeed:
    """Unaccepted deliveries stay in the queue."""

    async def test_refused_deliveries_are_offered_again(
        self, rabbitmq_url: str, world: World
    ) -> None:
        """In order, nothing skipped."""
        spec = world.consumer(Recorder("test")).spec
        bus = RabbitMQBus(rabbitmq_url, name="tests", queues=[spec])
        await bus.publish([message(n) for n in range(3)])
        offers: list[list[int]] = []

        async def accept(deliveries: Sequence[Delivery]) -> None:
            offers.append([CloudEvent.from_json(d.body).data["number"] for d in deliveries])
            if len(offers) < 3:
                raise BusUnavailable

        await bus.subscribe(spec, accept, batch_size=10)
        await eventually(lambda: sum(len(offer) for offer in offers[2:]) >= 3)
        await bus.close()
        assert offers[0] == offers[1] == offers[2]
        assert [number for offer in offers[2:] for number in offer] == [0, 1, 2]

    async def test_the_first_waits_for_others(self, rabbitmq_url: str, world: World) -> None:
        """With `gather`, what comes within it is one batch; a full one does not wait."""
        spec = world.consumer(Recorder("test")).spec
        bus = RabbitMQBus(rabbitmq_url, name="tests", queues=[spec])
        sizes: list[int] = []

        async def accept(deliveries: Sequence[Delivery]) -> None:
            sizes.append(len(deliveries))

        await bus.publish([message(0)])
        await bus.subscribe(spec, accept, batch_size=5, gather=timedelta(seconds=60))
        for number in range(1, 5):
            await bus.publish([message(number)])
        await eventually(lambda: sizes == [5])
        for number in range(5, 10):  # each of which finds a consumer that waits
            await bus.publish([message(number)])
        await eventually(lambda: sizes == [5, 5])
        await bus.close()

    async def test_stop_hands_back_what_waits(self, rabbitmq_url: str, world: World) -> None:
        """A consumer stopped in the middle leaves the rest to the next one, in whatever order."""
        spec = world.consumer(Recorder("test")).spec
        bus = RabbitMQBus(rabbitmq_url, name="tests", queues=[spec])
        await bus.publish([message(n) for n in range(5)])
        taken: list[int] = []
        began, go_on = asyncio.Event(), asyncio.Event()

        async def accept(deliveries: Sequence[Delivery]) -> None:
            began.set()
            await go_on.wait()
            taken.extend(CloudEvent.from_json(d.body).data["number"] for d in deliveries)

        first = await bus.subscribe(spec, accept, batch_size=2)
        await began.wait()
        stopping = asyncio.create_task(first.stop())
        go_on.set()
        await stopping
        before = len(taken)
        await bus.subscribe(spec, accept, batch_size=2)
        await eventually(lambda: len(taken) == 5)
        await bus.close()
        assert before < 5
        assert sorted(taken) == [0, 1, 2, 3, 4]


async def _confirmed(bus: RabbitMQBus) -> bool:
    try:
        return await bus.publish([message(1)]) == [Outcome.CONFIRMED]
    except BusUnavailable:
        return False


async def _count(world: World, expected: int) -> bool:
    return len(await world.effects()) >= expected


async def _first_body(url: str, queue: str) -> bytes:
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        waiting = await channel.get_queue(queue)
        return (await waiting.get(no_ack=True, timeout=5)).body


@asynccontextmanager
async def _silent_server() -> AsyncIterator[str]:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    async with server:
        yield f"amqp://guest:guest@127.0.0.1:{server.sockets[0].getsockname()[1]}/"


class _Wire:
    """A connection to the broker that can be cut without anybody being told."""

    def __init__(self, broker: URL) -> None:
        self.cut = asyncio.Event()
        self.url = ""
        self._broker = broker
        self._writers: list[asyncio.StreamWriter] = []

    @classmethod
    @asynccontextmanager
    async def to(cls, url: str) -> AsyncIterator[Self]:
        """Run one in front of the broker at *url*."""
        wire = cls(URL(url))
        server = await asyncio.start_server(wire._connect, "127.0.0.1", 0)
        wire.url = str(wire._broker.with_port(server.sockets[0].getsockname()[1]))
        try:
            yield wire
        finally:
            server.close()
            for writer in wire._writers:
                writer.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._broker.host, self._broker.port)
        self._writers += [writer, far_writer]
        await asyncio.gather(self._carry(reader, far_writer), self._carry(far_reader, writer))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                if not self.cut.is_set():
                    writer.write(data)
        writer.close()
