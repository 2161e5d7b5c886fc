"""Tasks that run beside the requests: supervised, restarted, and awaited at the end."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Self

import structlog
from prometheus_client import CollectorRegistry, Counter

from chassis.backoff import Backoff

log = structlog.get_logger()

Run = Callable[[], Awaitable[None]]

# A task that lived this long was healthy: its next crash starts with the shortest wait again.
_HEALTHY_AFTER = 60.0


@dataclass(frozen=True, slots=True)
class _Supervised:
    task: asyncio.Task[None]
    graceful: bool


class Background:
    """A group of supervised tasks.

    A task that crashes is logged, counted and started again after a back-off; one that returns is
    done. At the end `stopping` is set: *graceful* tasks then have *grace* to finish what they are
    at, all others are cancelled at once. Use as an async context manager, or call `stop`.
    """

    def __init__(
        self,
        *,
        registry: CollectorRegistry | None = None,
        backoff: Backoff | None = None,
        grace: timedelta = timedelta(seconds=10),
    ) -> None:
        self.stopping = asyncio.Event()
        self._backoff = backoff or Backoff(cap=timedelta(seconds=30))
        self._grace = grace
        self._tasks: dict[str, _Supervised] = {}
        self._at_stop: list[Run] = []
        self._crashes = Counter(
            "gatehouse_task_crashes",
            "Crashes of supervised background tasks.",
            ["task"],
            registry=registry or CollectorRegistry(),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    def start(self, name: str, run: Run, *, graceful: bool = False) -> None:
        """Run the coroutine function *run* as the task *name* (unique while it runs).

        A *graceful* one promises to return soon after `stopping` is set.
        """
        present = self._tasks.get(name)
        if present is not None and not present.task.done():
            raise ValueError(f"a task named {name} runs already")
        task = asyncio.create_task(self._supervise(name, run), name=name)
        self._tasks[name] = _Supervised(task, graceful)

    def at_stop(self, action: Run) -> None:
        """Await *action* first thing in `stop`, the last one added first."""
        self._at_stop.append(action)

    async def pause(self, duration: timedelta, wake: asyncio.Event | None = None) -> None:
        """Wait for *duration*, but not longer than until *wake* is set or the group stops.

        *wake* is cleared.
        """
        await first_of(self.stopping, wake or self.stopping, within=duration)
        if wake is not None:
            wake.clear()

    async def stop(self) -> None:
        """End every task and await it; exceptions have been logged, none is raised."""
        self.stopping.set()
        while self._at_stop:
            await self._call_at_stop(self._at_stop.pop())
        graceful = [entry.task for entry in self._tasks.values() if entry.graceful]
        tasks = [entry.task for entry in self._tasks.values()]
        for task in set(tasks) - set(graceful):
            task.cancel()
        if graceful:
            await asyncio.wait(graceful, timeout=self._grace.total_seconds())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()

    async def _call_at_stop(self, action: Run) -> None:
        try:
            async with asyncio.timeout(self._grace.total_seconds()):
                await action()
        except Exception:
            log.exception("stop_action.failed")

    async def _supervise(self, name: str, run: Run) -> None:
        failures = 0
        loop = asyncio.get_running_loop()
        while not self.stopping.is_set():
            started = loop.time()
            try:
                await run()
            except Exception:
                lived = loop.time() - started
                failures = 1 if lived >= _HEALTHY_AFTER else failures + 1
                delay = self._backoff.delay(failures)
                self._crashes.labels(task=name).inc()
                log.exception("task.crashed", task=name, restart_in=delay.total_seconds())
            else:
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), delay.total_seconds())


async def first_of(*events: asyncio.Event, within: timedelta | None = None) -> None:
    """Wait until one of *events* is set, but not longer than *within*."""
    waits = [asyncio.ensure_future(event.wait()) for event in set(events)]
    try:
        await asyncio.wait(
            waits,
            timeout=None if within is None else within.total_seconds(),
            return_when=asyncio.FIRST_COMPLETED,
        )
    finally:
        for wait in waits:
            wait.cancel()
