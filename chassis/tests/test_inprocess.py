"""The bus inside one process: what is special about a queue that is a call."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from chassis import inprocess
from chassis.bus import BusUnavailable, Delivery, Message, Outcome
from chassis.inprocess import InProcessBus
from chassis.testing import eventually
from chassis.tests.event_world import Recorder, World, drawn, open_bus, spec_of
from contracts.envelope import EVENTS_EXCHANGE


def message(number: int) -> Message:
    """Return a publishable event."""
    event = drawn(number)
    return Message(
        id=event.id, exchange=EVENTS_EXCHANGE, routing_key=event.type, body=event.to_json()
    )


class TestOpening:
    """No event may miss a consumer that starts a moment later."""

    async def test_publishes_nothing_before_it_is_open(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It says so instead of confirming."""
        monkeypatch.setattr(inprocess, "_PATIENCE", timedelta())
        with pytest.raises(BusUnavailable):
            await InProcessBus().publish([message(1)])

    async def test_pending_events_wait_for_the_last_consumer(self, world: World) -> None:
        """A relay that starts first delivers to a consumer that subscribes later."""
        bus = InProcessBus()
        await world.emit([1, 2])
        early, late = world.consumer(Recorder("a"), "a"), world.consumer(Recorder("b"), "b")
        async with world.running(bus, early), world.running(bus, late):
            bus.open()
            await eventually(lambda: _both(world))


class TestConfirms:
    """Confirmed means that every queue has it."""

    async def test_stopped_consumers_queue_keeps_its_messages(self, world: World) -> None:
        """The bus refuses them, so the outbox has them."""
        spec = world.consumer(Recorder("test")).spec
        bus = open_bus()
        subscription = await bus.subscribe(spec, _accept)
        assert await bus.publish([message(1)]) == [Outcome.CONFIRMED]
        await subscription.stop()
        assert await bus.publish([message(2)]) == [Outcome.FAILED]

    async def test_one_queue_that_refuses_is_enough(self, world: World) -> None:
        """The batch's later messages do not overtake the refused one in that queue."""
        refusing, accepting = world.consumer(Recorder("a"), "a"), world.consumer(Recorder("b"), "b")
        bus = open_bus(spec_of(refusing, accepting))
        refused: list[int] = []

        async def refuse(deliveries: Sequence[Delivery]) -> None:
            refused.append(len(deliveries))
            raise BusUnavailable

        await bus.subscribe(refusing.spec, refuse, batch_size=1)
        await bus.subscribe(accepting.spec, _accept)
        assert await bus.publish([message(1), message(2)]) == [Outcome.FAILED] * 2
        assert refused == [1]

    async def test_event_nobody_wants_is_confirmed(self) -> None:
        """There is nobody to keep it for."""
        assert await open_bus().publish([message(1)]) == [Outcome.CONFIRMED]

    async def test_stop_waits_for_what_is_being_accepted(self, world: World) -> None:
        """A consumer's last transaction is not cut."""
        spec = world.consumer(Recorder("test")).spec
        began, go_on = asyncio.Event(), asyncio.Event()

        async def accept(_deliveries: Sequence[Delivery]) -> None:
            began.set()
            await go_on.wait()

        bus = open_bus()
        subscription = await bus.subscribe(spec, accept)
        publishing = asyncio.create_task(bus.publish([message(1)]))
        await began.wait()
        stopping = asyncio.create_task(subscription.stop())
        go_on.set()
        await stopping
        assert await publishing == [Outcome.CONFIRMED]

    async def test_refuses_two_consumers_of_a_queue(self, world: World) -> None:
        """Each would get half of nothing: the second is a mistake."""
        bus, spec = open_bus(), world.consumer(Recorder("test")).spec
        await bus.subscribe(spec, _accept)
        with pytest.raises(ValueError, match="test"):
            await bus.subscribe(spec, _accept)


async def _accept(_deliveries: Sequence[Delivery]) -> None:
    """Take everything."""


async def _both(world: World) -> bool:
    return len(await world.effects("a")) == len(await world.effects("b")) == 2
