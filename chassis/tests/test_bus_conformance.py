"""One suite for every event bus: what `chassis.bus` promises, on real tables."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import sqlalchemy as sa
from prometheus_client import CollectorRegistry

from chassis.bus import Binding, Message, Outcome
from chassis.clock import SystemClock
from chassis.consumer import Consumer
from chassis.outbox_rows import OutboxRow, OutboxRows
from chassis.subscriptions import Subscription
from chassis.testing import eventually
from chassis.tests.conftest import MakeBus
from chassis.tests.event_world import (
    EFFECTS,
    INBOX,
    OUTBOX,
    DrawNumber,
    NumberDrawn,
    Recorder,
    World,
    drawn,
    spec_of,
)
from contracts.envelope import EVENTS_EXCHANGE, CloudEvent


def message_of(event: CloudEvent) -> Message:
    """Return what a relay publishes for *event*."""
    return Message(
        id=event.id, exchange=EVENTS_EXCHANGE, routing_key=event.type, body=event.to_json()
    )


def junk(body: bytes) -> Message:
    """Return a message that is routed like a drawn number and is none."""
    return Message(id=uuid4(), exchange=EVENTS_EXCHANGE, routing_key=NumberDrawn.type, body=body)


def all_of(row: OutboxRow) -> Message:
    """Return the message of a claimed row."""
    return message_of(row.event)


class TestDelivery:
    """What is committed in an outbox has its effect once in every queue that wants it."""

    async def test_keeps_the_order_of_a_queue(self, world: World, make_bus: MakeBus) -> None:
        """A hundred events have their effects in the order they were committed."""
        consumer = world.consumer(Recorder("test"))
        numbers = list(range(1, 101))
        async with world.running(make_bus(spec_of(consumer)), consumer):
            # A quorum queue that has just been made may refuse its first messages.
            await world.emit([0])
            await eventually(lambda: _count(world, 1))
            for start in range(0, 100, 10):
                await world.emit(numbers[start : start + 10])
            await eventually(lambda: _count(world, 101))
        assert await world.effects() == [0, *numbers]

    async def test_reaches_every_queue(self, world: World, make_bus: MakeBus) -> None:
        """Two consumers have their own effect each."""
        first = world.consumer(Recorder("first"), "first")
        second = world.consumer(Recorder("second"), "second")
        async with world.running(make_bus(spec_of(first, second)), first, second):
            await world.emit([1, 2, 3])
            await eventually(lambda: _count(world, 3, "first"))
            await eventually(lambda: _count(world, 3, "second"))
        assert await world.unpublished() == 0

    async def test_delivers_commands_to_their_queue(self, world: World, make_bus: MakeBus) -> None:
        """A private order reaches who subscribed to it, and carries no place in the sequence."""
        subscriptions = [Subscription.command(DrawNumber.type, Recorder("orders"))]
        consumer = Consumer("orders", subscriptions, world.database, INBOX, SystemClock())
        async with world.running(make_bus(spec_of(consumer)), consumer):
            await world.send(7)
            await eventually(lambda: _count(world, 1, "orders"))
        [effect] = await world.rows(EFFECTS)
        assert (effect.number, effect.producerseq) == (7, None)

    async def test_numbers_events_without_gaps(self, world: World, make_bus: MakeBus) -> None:
        """`producerseq` counts what was published; orders do not count."""
        consumer = world.consumer(Recorder("test"))
        async with world.running(make_bus(spec_of(consumer)), consumer):
            await world.emit([1, 2])
            await world.send(0)
            await world.emit([3])
            await eventually(lambda: _count(world, 3))
        assert {row.producerseq for row in await world.rows(EFFECTS)} == {"1", "2", "3"}

    async def test_keeps_a_command_that_nobody_takes(self, world: World, make_bus: MakeBus) -> None:
        """An order without a queue is unroutable, stays in the outbox and says why."""
        bus = make_bus([])
        await world.send(7)
        await world.relay(bus).relay_once()
        await bus.close()
        [row] = await world.rows(OUTBOX.outbox)
        assert row.published_at is None
        assert row.last_error == "unroutable: no queue is bound for it"

    async def test_feeds_ephemeral_subscribers(self, world: World, make_bus: MakeBus) -> None:
        """A subscriber without a database hears what it asked for, from the binding on."""
        bus = make_bus([])
        bound = asyncio.Event()
        heard: list[int] = []

        async def hear(event: CloudEvent) -> None:
            heard.append(event.data["number"])

        await bus.subscribe_ephemeral([Binding("test.number.#")], hear, on_bound=bound.set)
        await bound.wait()
        async with world.running(bus):
            await world.emit([1, 2])
            await eventually(lambda: heard == [1, 2])


class TestDuplicates:
    """At least once on the way is exactly once in effect."""

    async def test_published_twice_has_one_effect(self, world: World, make_bus: MakeBus) -> None:
        """The second delivery of an id is acknowledged and does nothing."""
        registry = CollectorRegistry()
        consumer = world.consumer(Recorder("test"), registry=registry)
        bus = make_bus(spec_of(consumer))
        [event] = await world.emit([1])
        async with world.running(bus, consumer):
            await eventually(lambda: _count(world, 1))
            assert await bus.publish([message_of(event)]) == [Outcome.CONFIRMED]
            await eventually(lambda: _duplicates(registry) == 1)
        assert await world.effects() == [1]

    async def test_crash_between_publish_and_mark(self, world: World, make_bus: MakeBus) -> None:
        """A row published by a relay that died is published again with the same number."""
        registry = CollectorRegistry()
        consumer = world.consumer(Recorder("test"), registry=registry)
        bus = make_bus(spec_of(consumer))
        await world.emit([1, 2])
        async with world.running(make_bus(spec_of(consumer)), consumer):
            pass  # the queue is known, its consumer is away
        dying = OutboxRows(OUTBOX, world.database)
        rows = await dying.claim_unpublished(uuid4(), lease=timedelta(0), limit=10)
        published = [all_of(row) for row in rows]
        async with world.running(bus, consumer):
            await bus.publish(published)
            await eventually(lambda: _duplicates(registry) == 2)
            await eventually(lambda: _all_published(world))
        assert sorted(await world.effects()) == [1, 2]
        assert {row.producerseq for row in await world.rows(EFFECTS)} == {"1", "2"}
        assert [row.producerseq for row in await world.rows(OUTBOX.outbox)] == [1, 2]


class TestPoison:
    """What cannot be handled is kept, and holds up nobody."""

    async def test_failing_handler_blocks_nobody(self, world: World, make_bus: MakeBus) -> None:
        """The next message of the queue and the same message in another queue go through."""
        broken = world.consumer(Recorder("broken", broken={2: -1}), "broken")
        healthy = world.consumer(Recorder("healthy"), "healthy")
        async with world.running(make_bus(spec_of(broken, healthy)), broken, healthy):
            await world.emit([1, 2, 3])
            await eventually(lambda: _count(world, 3, "healthy"))
            await eventually(lambda: _count(world, 2, "broken"))
        assert sorted(await world.effects("broken")) == [1, 3]
        assert sorted(await world.effects("healthy")) == [1, 2, 3]

    async def test_retries_until_success(self, world: World, make_bus: MakeBus) -> None:
        """A handler that fails twice has its effect on the third attempt, once."""
        recorder = Recorder("test", broken={5: 2})
        consumer = world.consumer(recorder)
        async with world.running(make_bus(spec_of(consumer)), consumer):
            await world.emit([5])
            await eventually(lambda: _count(world, 1))
        assert recorder.calls == [5, 5, 5]
        assert await world.states() == ["done"]

    async def test_dies_after_the_last_attempt(self, world: World, make_bus: MakeBus) -> None:
        """After eight attempts the message lies with the dead letters, body and reason kept."""
        recorder = Recorder("test", broken={5: -1})
        consumer = world.consumer(recorder)
        async with world.running(make_bus(spec_of(consumer)), consumer):
            [event] = await world.emit([5])
            await eventually(lambda: _has_states(world, ["dead"]))
        assert recorder.calls == [5] * 8
        [row] = await world.rows(INBOX.inbox)
        assert CloudEvent.from_json(row.body).id == event.id
        assert row.last_error.startswith("BrokenHandlerError at event_world.py:")

    async def test_redriven_has_one_effect(self, world: World, make_bus: MakeBus) -> None:
        """A dead letter redriven after the repair has its effect; a second redrive finds none."""
        recorder = Recorder("test", broken={5: -1})
        consumer = world.consumer(recorder, max_attempts=2)
        async with world.running(make_bus(spec_of(consumer)), consumer):
            await world.emit([5])
            await eventually(lambda: _has_states(world, ["dead"]))
            recorder.broken.clear()
            assert await consumer.redrive() == 1
            await eventually(lambda: _count(world, 1))
            assert await consumer.redrive() == 0
        assert await world.effects() == [5]

    async def test_unreadable_bodies_are_parked(self, world: World, make_bus: MakeBus) -> None:
        """Bytes that are no envelope die at once and the next message has its effect."""
        consumer = world.consumer(Recorder("test"))
        bus = make_bus(spec_of(consumer))
        async with world.running(bus, consumer):
            bodies = [b"\x00\xff", b"{}", b"[]", b"", b'"\xed\xa0\x80"', b"[" * 100_000]
            await bus.publish([junk(body) for body in bodies])
            await world.emit([1])
            await eventually(lambda: _count(world, 1))
        assert await world.states() == ["dead"] * len(bodies) + ["done"]

    async def test_type_that_is_not_its_routing_key_is_parked(
        self, world: World, make_bus: MakeBus
    ) -> None:
        """A forged type reaches no handler, whatever characters it is made of."""
        consumer = world.consumer(Recorder("test"))
        bus = make_bus(spec_of(consumer))
        forged = drawn(1).to_json().replace(NumberDrawn.type.encode(), b"a\\u0000\\ud800")
        async with world.running(bus, consumer):
            await bus.publish([junk(forged)])
            await eventually(lambda: _has_states(world, ["dead"]))
        assert await world.effects() == []


class TestRestart:
    """Whatever stops, what was committed arrives when it is back."""

    async def test_consumer_away(self, world: World, make_bus: MakeBus) -> None:
        """Events committed while the consumer is stopped wait for it, and arrive once each."""
        recorder = Recorder("test")
        consumer = world.consumer(recorder)
        async with world.running(make_bus(spec_of(consumer)), consumer):
            await world.emit([1])
            await eventually(lambda: _count(world, 1))
        async with world.running(make_bus(spec_of(consumer))):
            await world.emit([2, 3])
        await world.emit([4])
        async with world.running(make_bus(spec_of(consumer)), consumer):
            await eventually(lambda: _count(world, 4))
        assert sorted(await world.effects()) == [1, 2, 3, 4]

    async def test_leases_of_a_dead_relay_run_out(self, world: World, make_bus: MakeBus) -> None:
        """Rows claimed by a relay that died before publishing are published by the next one."""
        consumer = world.consumer(Recorder("test"))
        await world.emit([1, 2, 3])
        dying = OutboxRows(OUTBOX, world.database)
        await dying.claim_unpublished(uuid4(), lease=timedelta(seconds=1), limit=2)
        async with world.running(make_bus(spec_of(consumer)), consumer):
            await eventually(lambda: _count(world, 3))
        assert [row.producerseq for row in await world.rows(OUTBOX.outbox)] == [1, 2, 3]

    async def test_database_that_comes_back(self, world: World, make_bus: MakeBus) -> None:
        """A database that throws everybody out costs no message an attempt."""
        recorder = Recorder("test")
        consumer = world.consumer(recorder)
        async with world.running(make_bus(spec_of(consumer)), consumer):
            for number in range(20):
                await world.emit([number])
                await _throw_out(world)
            # A claim whose answer was lost waits for its lease, which is ten seconds.
            await eventually(lambda: _count(world, 20), within=45)
        assert sorted(await world.effects()) == list(range(20))


async def _throw_out(world: World) -> None:
    """End every other connection to the database, as a restart would."""
    others = sa.text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await world.execute(others)


async def _count(world: World, expected: int, queue: str = "test") -> bool:
    return len(await world.effects(queue)) >= expected


async def _has_states(world: World, expected: list[str]) -> bool:
    return await world.states() == expected


async def _all_published(world: World) -> bool:
    return await world.unpublished() == 0


def _duplicates(registry: CollectorRegistry, queue: str = "test") -> float:
    return registry.get_sample_value("gatehouse_inbox_duplicates_total", {"queue": queue}) or 0
