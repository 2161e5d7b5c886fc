"""Relay and pusher: back-off instead of loss, and nothing marked that was not confirmed."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

import pytest
from prometheus_client import CollectorRegistry

from chassis.background import Background
from chassis.bus import BusUnavailable, Message, Outcome
from chassis.inprocess import InProcessBus
from chassis.outbox_rows import OutboxRows
from chassis.pusher import PushFailed, Send, UrgentPusher
from chassis.testing import eventually
from chassis.tests.event_world import OUTBOX, QUICK, QUICK_POLL, Recorder, World, open_bus, spec_of
from contracts.envelope import CloudEvent


class MoodyBus(InProcessBus):
    """A bus that answers a batch with what the test says; None: it is away."""

    def __init__(self, *moods: list[Outcome] | None) -> None:
        super().__init__()
        self.open()
        self.moods = list(moods)
        self.published: list[list[int]] = []

    async def publish(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Note the batch and answer in the next mood; confirm when there is none left."""
        numbers = [CloudEvent.from_json(m.body).data["number"] for m in messages]
        self.published.append(numbers)
        if not self.moods:
            return await super().publish(messages)
        mood = self.moods.pop(0)
        if mood is None:
            raise BusUnavailable
        return mood


class TestRelay:
    """Claim, publish, mark."""

    async def test_marks_only_what_was_confirmed(self, world: World) -> None:
        """The refused row stays due, the unroutable one waits, both unpublished."""
        bus = MoodyBus([Outcome.CONFIRMED, Outcome.FAILED, Outcome.UNROUTABLE])
        await world.emit([1, 2, 3])
        with pytest.raises(BusUnavailable):
            await world.relay(bus).relay_once()
        confirmed, refused, unroutable = await world.rows(OUTBOX.outbox)
        assert confirmed.published_at is not None
        assert (refused.published_at, refused.leased_until, refused.attempts) == (None, None, 1)
        assert unroutable.published_at is None
        assert unroutable.leased_until is not None

    async def test_unroutable_holds_up_nobody(self, world: World) -> None:
        """It is not tried again at once, and the next events go through."""
        bus = MoodyBus([Outcome.UNROUTABLE])
        relay = world.relay(bus)
        await world.emit([1])
        await relay.relay_once()
        await world.emit([2])
        await relay.relay_once()
        assert await relay.relay_once() == 0
        assert bus.published == [[1], [2]]

    async def test_waits_for_a_bus_that_is_away(self, world: World) -> None:
        """The rows keep their order and are published when it is back."""
        registry = CollectorRegistry()
        bus = MoodyBus(*[None] * 8)
        await world.emit([1, 2])
        async with Background() as background:
            world.relay(bus, registry=registry).start(background)
            await eventually(lambda: _drained(world))
        confirmed = bus.published[8:]
        assert [number for batch in confirmed for number in batch] == [1, 2]
        assert registry.get_sample_value("gatehouse_outbox_published_total") == 2

    async def test_the_only_process_does_not_wait_for_leases(self, world: World) -> None:
        """A lease of an hour left by a dead process is released at the start."""
        await world.emit([1])
        dead = OutboxRows(OUTBOX, world.database)
        await dead.claim_unpublished(uuid4(), lease=timedelta(hours=1), limit=1)
        async with world.running(MoodyBus()):
            await eventually(lambda: _drained(world))

    async def test_tells_what_waits(self, world: World) -> None:
        """Depth, age and unpushed rows are measured."""
        registry = CollectorRegistry()
        await world.emit([1, 2], urgent=True)
        async with Background() as background:
            world.relay(MoodyBus(*[None] * 1000), registry=registry).start(background)
            depth = "gatehouse_outbox_depth"
            await eventually(lambda: registry.get_sample_value(depth) == 2)
        assert registry.get_sample_value("gatehouse_outbox_unpushed") == 2


class TestPusher:
    """Urgent events go a second way until somebody acknowledges them."""

    async def test_pushes_until_acknowledged(self, world: World) -> None:
        """A receiver that fails twice gets the event a third time, then never again."""
        seen: list[int] = []

        async def send(event: CloudEvent) -> None:
            seen.append(event.data["number"])
            if len(seen) <= 2:
                raise ConnectionRefusedError

        await world.emit([1], urgent=True)
        await world.emit([2])
        async with Background() as background:
            _pusher(world, send).start(background)
            await eventually(lambda: _pushed(world))
        assert seen == [1, 1, 1]

    async def test_a_refused_event_does_not_hold_up_the_next(self, world: World) -> None:
        """One that is never acknowledged waits on its own."""
        seen: list[int] = []

        async def send(event: CloudEvent) -> None:
            if event.data["number"] == 1:
                raise PermissionError
            seen.append(event.data["number"])

        await world.emit([1, 2], urgent=True)
        with pytest.raises(PushFailed):
            await _pusher(world, send).push_once()
        assert seen == [2]
        refused, taken = await world.rows(OUTBOX.outbox)
        assert (refused.pushed_at, refused.last_error) == (None, "push: PermissionError")
        assert taken.pushed_at is not None

    async def test_both_ways_have_one_effect(self, world: World) -> None:
        """What came by push is a duplicate when it comes by the bus."""
        registry = CollectorRegistry()
        consumer = world.consumer(Recorder("test"), registry=registry)
        await world.emit([1], urgent=True)
        await _pusher(world, consumer.accept).push_once()
        assert await world.effects() == [1]
        async with world.running(open_bus(spec_of(consumer)), consumer):
            await eventually(lambda: _drained(world))
        assert await world.effects() == [1]
        assert registry.get_sample_value("gatehouse_inbox_duplicates_total", {"queue": "test"}) == 1


def _pusher(world: World, send: Send) -> UrgentPusher:
    return UrgentPusher(
        world.outbox,
        world.database,
        send,
        poll=QUICK_POLL,
        backoff=QUICK,
    )


async def _drained(world: World) -> bool:
    return await world.unpublished() == 0


async def _pushed(world: World) -> bool:
    return all(row.pushed_at is not None for row in await world.rows(OUTBOX.outbox) if row.urgent)
