"""Wait for a fact instead of sleeping."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar, overload

T = TypeVar("T")

_POLL_SECONDS = 0.02


@overload
async def eventually(
    condition: Callable[[], Awaitable[T | None]], *, within: timedelta | float = 10.0
) -> T: ...


@overload
async def eventually(
    condition: Callable[[], T | None], *, within: timedelta | float = 10.0
) -> T: ...


async def eventually(condition: Callable[[], Any], *, within: timedelta | float = 10.0) -> Any:
    """Call *condition* (plain or async) until it gives something true, and return that.

    A condition that fails an assertion is not yet true. Raises AssertionError with the last answer
    after *within* (seconds, or a timedelta); an answer that never comes counts too.
    """
    seconds = within.total_seconds() if isinstance(within, timedelta) else within
    last: str = "no answer yet"
    try:
        async with asyncio.timeout(seconds) as deadline:
            while True:
                try:
                    answer = await _ask(condition)
                    if answer:
                        return answer
                    last = f"it gave {answer!r}"
                except AssertionError as failure:
                    last = f"it failed: {failure}"
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        if not deadline.expired():
            raise  # the condition's own
        name = getattr(condition, "__qualname__", repr(condition))
        raise AssertionError(f"not true within {seconds:g} s: {name}; {last}") from None


async def _ask(condition: Callable[[], T | Awaitable[T]]) -> T:
    answer = condition()
    if inspect.isawaitable(answer):
        return await answer
    return answer
