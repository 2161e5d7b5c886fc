"""The parent's side of workers, with workers that do what a test says."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from prometheus_client import (
    CollectorRegistry,
)
from structlog.testing import capture_logs

from chassis.backoff import Backoff
from chassis.testing import eventually
from gateway.workers.channel import Question, Unanswered
from gateway.workers.crew import Crew
from gateway.workers.ops import ops_of
from gateway.workers.worker import Worker


class Scripted(Worker):
    """A worker that ends when the test, or a signal it does not ignore, says so."""

    def __init__(
        self, *, deaf: bool = False, mute: bool = False, answer: asyncio.Event | None = None
    ) -> None:
        self._answer = answer
        self.signals: list[signal.Signals] = []
        self.code: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._deaf = deaf
        self.mute = mute

    @property
    def pid(self) -> int:
        """Return some number."""
        return 1

    async def ask(self, question: Question, *, within: float | None = 2.0) -> bytes:
        """Answer that all is well."""
        del within
        if self._answer is not None:
            await self._answer.wait()
        if self.mute or self.code.done():
            raise Unanswered
        return {"live": b"", "health": b"[]", "metrics": b""}[question]

    async def ended(self) -> int:
        """Wait for the end."""
        return await self.code

    def send(self, number: signal.Signals) -> None:
        """Take a signal."""
        self.signals.append(number)
        if not self.code.done() and (number == signal.SIGKILL or not self._deaf):
            self.code.set_result(0 if number == signal.SIGTERM else -number)


Start = Callable[[], Awaitable[Worker]]


def crew_of(size: int, start: Start, *, pause: float = 0.001, grace: float = 5) -> Crew:
    """Return a crew whose pauses are known."""
    return Crew(
        size,
        start,
        grace=grace,
        registry=CollectorRegistry(),
        backoff=Backoff(first=timedelta(seconds=pause), cap=timedelta(seconds=60), jitter=0),
    )


@asynccontextmanager
async def running(crew: Crew) -> AsyncIterator[asyncio.Task[int]]:
    """Run *crew* for as long as the block lasts."""
    stop = asyncio.Event()
    task = asyncio.create_task(crew.run(stop))
    try:
        yield task
    finally:
        stop.set()
        await task


class TestCrew:
    """What the parent does when workers end."""

    async def test_waits_longer_after_each_end(self) -> None:
        """Until one has lived for a minute; another place is not kept waiting."""
        started: list[Scripted] = []

        async def start() -> Worker:
            started.append(Scripted())
            if len(started) > 2:
                started[-1].code.set_result(-11)
            return started[-1]

        with capture_logs() as logs:
            crew = crew_of(2, start)
            async with running(crew):
                await eventually(lambda: None not in crew.workers)
                started[1].code.set_result(-11)
                await eventually(lambda: len(started) > 6)
                assert crew.workers[0] is started[0]
        pauses = [entry["restart_in"] for entry in logs if entry["event"] == "worker.ended"]
        assert pauses[:5] == [0.001, 0.002, 0.004, 0.008, 0.016]

    async def test_tries_again_when_none_can_be_started(self) -> None:
        """No memory, no process: the others go on."""
        tries = 0

        async def start() -> Worker:
            nonlocal tries
            tries += 1
            if tries in (2, 3):
                raise BlockingIOError
            return Scripted()

        crew = crew_of(2, start)
        async with running(crew):
            await eventually(lambda: None not in crew.workers)
        assert tries == 4

    async def test_ends_when_the_first_finds_the_configuration_wanting(self) -> None:
        """Exit code 78, and no second one is started."""
        started: list[Scripted] = []

        async def start() -> Worker:
            started.append(Scripted(mute=True))
            started[-1].code.set_result(78)
            return started[-1]

        async with running(crew_of(3, start)) as task:
            assert await task == 78
        assert len(started) == 1

    async def test_goes_on_when_a_later_one_does(self) -> None:
        """A file that was broken meanwhile must not take the others down."""
        started: list[Scripted] = []

        async def start() -> Worker:
            started.append(Scripted())
            if len(started) in (3, 4):
                started[-1].code.set_result(78)
            return started[-1]

        crew = crew_of(2, start)
        async with running(crew):
            await eventually(lambda: len(started) == 2)
            started[1].code.set_result(-9)
            await eventually(lambda: len(started) == 5 and None not in crew.workers)
            assert crew.workers[0] is started[0]

    async def test_is_live_while_one_is_only_starting(self) -> None:
        """Not live when one falls silent that has answered before; live when that one is gone."""
        started: list[Scripted] = []

        async def start() -> Worker:
            started.append(Scripted(mute=len(started) == 1, deaf=True))
            return started[-1]

        crew = crew_of(2, start, pause=60, grace=0.05)
        async with running(crew):
            await eventually(lambda: None not in crew.workers)
            assert (await asked(crew, "/health/live"))[0] == 200
            started[0].mute = True
            assert await asked(crew, "/health/live") == (503, b'["0"]')
            started[0].code.set_result(-9)
            await eventually(lambda: crew.workers[0] is None)
            assert (await asked(crew, "/health/live"))[0] == 200

    async def test_kills_what_does_not_end_in_its_time(self) -> None:
        """After SIGTERM and the grace, SIGKILL."""
        started: list[Scripted] = []

        async def start() -> Worker:
            started.append(Scripted(deaf=True))
            return started[-1]

        crew = crew_of(2, start, grace=0.05)
        async with running(crew):
            await eventually(lambda: None not in crew.workers)
        assert [worker.signals for worker in started] == [[signal.SIGTERM, signal.SIGKILL]] * 2

    async def test_ends_when_it_cannot_go_on(self) -> None:
        """A mistake of ours is told by the end of the process, not by an empty place."""
        started: list[Scripted] = []

        async def start() -> Worker:
            started.append(Scripted())
            if len(started) == 2:
                raise LookupError
            return started[-1]

        with pytest.raises(LookupError):
            await crew_of(2, start).run(asyncio.Event())
        assert started[0].signals == [signal.SIGTERM]

    async def test_has_a_starting_worker_reload_once_it_can(self) -> None:
        """Before its first answer the signal would kill it; afterwards it must not be missed."""
        started: list[Scripted] = []
        answer = asyncio.Event()

        async def start() -> Worker:
            started.append(Scripted(deaf=True, answer=answer if started else None))
            return started[-1]

        crew = crew_of(2, start, grace=0.05)
        async with running(crew):
            await eventually(lambda: len(started) == 2)
            await crew.reload()
            assert [worker.signals for worker in started] == [[signal.SIGHUP], []]
            answer.set()
            await eventually(lambda: started[1].signals == [signal.SIGHUP])
            await crew.reload()
            assert [worker.signals for worker in started] == [[signal.SIGHUP] * 2] * 2

    async def test_is_not_ready_while_a_place_is_empty(self) -> None:
        """Nor while it drains."""
        started: list[Scripted] = []

        async def start() -> Worker:
            started.append(Scripted(deaf=True))
            return started[-1]

        crew = crew_of(2, start, pause=60, grace=0.05)
        async with running(crew):
            await eventually(lambda: None not in crew.workers)
            assert await asked(crew, "/health/ready") == (200, b"[]")
            started[1].code.set_result(-9)
            await eventually(lambda: None in crew.workers)
            assert await asked(crew, "/health/ready") == (503, b'["worker 1"]')
            assert (await asked(crew, "/health/live"))[0] == 200
        assert await asked(crew, "/health/ready") == (503, b'["draining"]')


async def asked(crew: Crew, path: str) -> tuple[int, bytes]:
    """Ask the ops app; return the status and what is failing, as JSON."""
    messages = []

    async def send(message: object) -> None:
        messages.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b""}
    await ops_of(crew, CollectorRegistry())(scope, _nothing, send)
    start, body = messages[0], messages[1]
    assert isinstance(start, dict)
    assert isinstance(body, dict)
    return start["status"], body["body"].partition(b'"failing":')[2].removesuffix(b"}").strip()


async def _nothing() -> dict[str, str]:
    return {"type": "http.disconnect"}
