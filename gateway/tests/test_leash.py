"""What ends an exchange from outside."""

import asyncio

import pytest

from gateway.proxy.body import Leash


async def forever(leash: Leash) -> None:
    """Exchange something that never comes."""
    with leash:
        await asyncio.get_running_loop().create_future()


class TestLeash:
    """`Leash` alone."""

    async def test_ends_the_exchange_at_once(self) -> None:
        """With the first reason."""
        leash = Leash(None)
        exchange = asyncio.create_task(forever(leash))
        await asyncio.sleep(0)
        leash.end("first")
        leash.end("second")
        with pytest.raises(TimeoutError):
            await exchange
        assert leash.reason == "first"

    @pytest.mark.parametrize("seconds", [0.01, 0.1])
    async def test_ends_it_when_its_time_is_over(self, seconds: float) -> None:
        """Without a reason; a time shorter than it takes to look ends it then."""
        leash = Leash(seconds)
        with pytest.raises(TimeoutError):
            await forever(leash)
        assert leash.reason is None

    async def test_leaves_it_to_others_to_cancel(self) -> None:
        """Also when both want it."""
        leash = Leash(None)
        exchange = asyncio.create_task(forever(leash))
        await asyncio.sleep(0)
        leash.end("mine")
        exchange.cancel()
        with pytest.raises(asyncio.CancelledError):
            await exchange

    async def test_begins_what_is_for_exchanges_that_last(self) -> None:
        """What is added later at once."""
        leash, begun = Leash(None), asyncio.Event()
        leash.once_it_lasts(begun.set)
        with leash:
            await begun.wait()
            later = asyncio.Event()
            leash.once_it_lasts(later.set)
            assert later.is_set()
