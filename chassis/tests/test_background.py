"""Supervised tasks: restarted when they crash, awaited when the process ends."""

import asyncio
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry

from chassis.background import Background
from chassis.testing import eventually
from chassis.tests.event_world import QUICK


class TestBackground:
    """A task is somebody's responsibility from start to end."""

    async def test_restarts_what_crashes(self) -> None:
        """Each crash is counted, and the task runs again."""
        registry = CollectorRegistry()
        runs: list[int] = []

        async def crash() -> None:
            runs.append(1)
            if len(runs) < 4:
                raise RuntimeError
            await asyncio.Event().wait()

        async with Background(registry=registry, backoff=QUICK) as background:
            background.start("crasher", crash)
            await eventually(lambda: len(runs) == 4)
        crashes = registry.get_sample_value("gatehouse_task_crashes_total", {"task": "crasher"})
        assert crashes == 3

    async def test_leaves_alone_what_is_done(self) -> None:
        """A task that returns is not started again."""
        runs: list[int] = []
        background = Background(backoff=QUICK)

        async def once() -> None:
            runs.append(1)

        background.start("once", once)
        await eventually(lambda: bool(runs))
        await background.stop()
        assert runs == [1]

    async def test_graceful_tasks_finish_what_they_are_at(self) -> None:
        """They hear of the end and are not interrupted."""
        background = Background()
        finished: list[str] = []
        begun = asyncio.Event()

        async def work() -> None:
            begun.set()
            await background.stopping.wait()
            finished.append("batch")

        background.start("work", work, graceful=True)
        await begun.wait()
        await background.stop()
        assert finished == ["batch"]

    async def test_grace_ends(self) -> None:
        """A graceful task that does not keep its promise is cancelled, as all others are."""
        cancelled: list[str] = []

        def endless(name: str) -> None:
            async def run() -> None:
                try:
                    await asyncio.Event().wait()
                finally:
                    cancelled.append(name)

            background.start(name, run, graceful=name == "graceful")

        background = Background(grace=timedelta(milliseconds=50))
        endless("graceful")
        endless("ordinary")
        await background.pause(timedelta(milliseconds=1))
        await background.stop()
        assert sorted(cancelled) == ["graceful", "ordinary"]

    async def test_stop_actions_run_first_and_in_reverse(self) -> None:
        """One that fails is logged and does not keep the others from running."""
        called: list[str] = []
        background = Background()

        async def first() -> None:
            called.append("first")

        async def failing() -> None:
            called.append("failing")
            raise RuntimeError

        background.at_stop(first)
        background.at_stop(failing)
        await background.stop()
        assert called == ["failing", "first"]

    async def test_refuses_two_of_a_name(self) -> None:
        """A second relay by mistake would be a second relay."""
        async with Background() as background:
            background.start("relay", _for_ever)
            with pytest.raises(ValueError, match="relay"):
                background.start("relay", _for_ever)


async def _for_ever() -> None:
    await asyncio.Event().wait()
