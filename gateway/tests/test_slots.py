"""How many requests an upstream gets at once, and who waits."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from chassis.testing import eventually
from gateway.errors import UpstreamBusy
from gateway.proxy.slots import Slots
from gateway.routing.table import Bounds


def slots(*, waiting: int = 1, seconds: float = 30.0) -> Slots:
    """Return two slots."""
    return Slots(Bounds(requests=2, waiting=waiting, wait_seconds=seconds), upstream="x")


async def hold(places: Slots, until: asyncio.Event) -> None:
    """Hold a slot until the event is set."""
    async with places:
        await until.wait()


class TestSlots:
    """`Slots` alone."""

    async def test_let_one_wait_and_refuse_the_next(self) -> None:
        """The one that waits gets the first that is free."""
        places, end = slots(), asyncio.Event()
        tasks = [asyncio.create_task(hold(places, end)) for _ in range(3)]
        await eventually(lambda: (places.held, places.waiting) == (2, 1))
        with pytest.raises(UpstreamBusy) as refused:
            await hold(places, end)
        end.set()
        await asyncio.gather(*tasks)
        assert refused.value.retry_after == 1
        assert (places.held, places.waiting) == (0, 0)

    async def test_do_not_let_wait_for_ever(self) -> None:
        """And say so once until there is room again."""
        places = slots(seconds=0.01)
        async with AsyncExitStack() as stack:
            for _ in range(2):
                await stack.enter_async_context(places)
            for _ in range(2):
                with pytest.raises(UpstreamBusy):
                    await hold(places, asyncio.Event())
        async with places:
            assert (places.held, places.waiting) == (1, 0)

    async def test_forget_who_leaves_while_waiting(self) -> None:
        """A cancelled request keeps neither a place in the queue nor a slot."""
        places, end = slots(), asyncio.Event()
        tasks = [asyncio.create_task(hold(places, end)) for _ in range(3)]
        await eventually(lambda: places.waiting == 1)
        tasks[2].cancel()
        await asyncio.gather(tasks[2], return_exceptions=True)
        tasks[2] = asyncio.create_task(hold(places, end))
        await eventually(lambda: places.waiting == 1)
        end.set()
        await asyncio.gather(*tasks)
        assert (places.held, places.waiting) == (0, 0)
