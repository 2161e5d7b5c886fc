"""A bounded pool of hashing threads with priorities and a deadline in the queue (D4).

More threads than cores gain nothing and take the event loop's core away (docs/adr), so work waits
here, where it can be ordered and refused, and not in the kernel's run queue.
"""

import asyncio
import heapq
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from enum import IntEnum
from itertools import count
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge

from services.identity.errors import HashingOverloaded

T = TypeVar("T")

# A login may wait; a token check beside it should not.
_NICENESS = 5


class Priority(IntEnum):
    """Who goes first when there is a queue."""

    LOGIN = 0
    RESET = 1
    REGISTER = 2


class HashPool:
    """Runs at most *workers* computations at once; who waits longest within a priority is next."""

    def __init__(self, workers: int, *, registry: CollectorRegistry | None = None) -> None:
        registry = registry or CollectorRegistry()
        self._free = workers
        self._executor = ThreadPoolExecutor(
            workers, thread_name_prefix="hash", initializer=_step_back
        )
        self._waiting: list[tuple[Priority, int, asyncio.Future[None]]] = []
        self._tickets = count()
        self._depth = Gauge(
            "gatehouse_hash_waiting", "Passwords waiting to be hashed.", registry=registry
        )
        self._refused = Counter(
            "gatehouse_hash_refused", "Passwords not hashed in time.", registry=registry
        )

    async def run(self, priority: Priority, deadline: float, work: Callable[[], T]) -> T:
        """Return what *work* returns, computed in a thread.

        Raises HashingOverloaded when it did not begin within *deadline* seconds.
        """
        await self._acquire(priority, deadline)
        loop = asyncio.get_running_loop()
        try:
            running = self._executor.submit(work)
        except RuntimeError:
            self._release()
            raise HashingOverloaded(retry_after=1) from None

        def give_back(_done: Future[T]) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._release)

        # The place is free when the thread is, also when the caller has been cancelled meanwhile.
        running.add_done_callback(give_back)
        return await asyncio.wrap_future(running)

    def close(self) -> None:
        """Finish what runs and take nothing new."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    async def _acquire(self, priority: Priority, deadline: float) -> None:
        if deadline <= 0:
            self._refused.inc()
            raise HashingOverloaded(retry_after=1)
        if self._free and not self._waiting:
            self._free -= 1
            return
        place = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (priority, next(self._tickets), place))
        self._depth.inc()
        try:
            async with asyncio.timeout(deadline):
                await place
        except TimeoutError:
            self._give_up(place)
            self._refused.inc()
            raise HashingOverloaded(retry_after=1) from None
        except asyncio.CancelledError:
            self._give_up(place)
            raise
        finally:
            self._depth.dec()

    def _give_up(self, place: asyncio.Future[None]) -> None:
        """Leave the queue; a place granted at the very same moment goes to the next."""
        if place.done() and not place.cancelled():
            self._release()

    def _release(self) -> None:
        while self._waiting:
            _, _, place = heapq.heappop(self._waiting)
            if not place.done():
                place.set_result(None)
                return
        self._free += 1


def _step_back() -> None:
    """Let every other thread of the machine go before this one, where the system knows how.

    Linux counts niceness by thread (setpriority(2)).
    """
    with suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
