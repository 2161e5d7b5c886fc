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
from typing import Any, TypeVar

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
    """Runs at most *workers* computations at once; who waits longest within a priority is next.

    A thread that is done takes the next by itself: it does not wait for a busy event loop.
    """

    def __init__(self, workers: int, *, registry: CollectorRegistry | None = None) -> None:
        registry = registry or CollectorRegistry()
        self._executor = ThreadPoolExecutor(
            workers, thread_name_prefix="hash", initializer=_step_back
        )
        self._lock = threading.Lock()
        self._waiting: list[tuple[Priority, int, Future[Any], Callable[[], Any]]] = []
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
        if deadline <= 0:
            raise self._refusal()
        done, cancellations = self._enqueue(priority, work), _cancellations()
        # Ends the wait; what has begun cannot be cancelled any more.
        expiry = asyncio.get_running_loop().call_later(deadline, done.cancel)
        answer = asyncio.wrap_future(done)
        try:
            return await answer
        except asyncio.CancelledError:
            # Either the wait has ended, or somebody cancels the caller.
            if _cancellations() > cancellations:
                raise
            raise self._refusal() from None
        finally:
            expiry.cancel()

    def close(self) -> None:
        """Finish what runs and take nothing new."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _enqueue(self, priority: Priority, work: Callable[[], T]) -> Future[T]:
        done: Future[T] = Future()
        with self._lock:
            heapq.heappush(self._waiting, (priority, next(self._tickets), done, work))
        self._depth.inc()
        try:
            # One turn for each who waits; whose it is is known when it comes.
            self._executor.submit(self._take_turn)
        except RuntimeError:
            done.cancel()
            raise HashingOverloaded(retry_after=1) from None
        return done

    def _take_turn(self) -> None:
        """Compute for the first who still waits, if anybody does."""
        while True:
            with self._lock:
                if not self._waiting:
                    return
                _, _, done, work = heapq.heappop(self._waiting)
            self._depth.dec()
            if done.set_running_or_notify_cancel():
                break
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is the caller's, whatever it is
            done.set_exception(error)

    def _refusal(self) -> HashingOverloaded:
        self._refused.inc()
        return HashingOverloaded(retry_after=1)


def _cancellations() -> int:
    """Return how often the running task was asked to end."""
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0


def _step_back() -> None:
    """Let every other thread of the machine go before this one, where the system knows how.

    Linux counts niceness by thread (setpriority(2)).
    """
    with suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
