"""All workers together: started, started anew when they end, stopped as one."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from prometheus_client import CollectorRegistry, Counter, Gauge

from chassis.background import first_of
from chassis.backoff import Backoff
from chassis.logs import get_logger
from chassis.settings import EX_CONFIG
from gateway.workers.worker import Worker

# One that lived this long was healthy: its end starts with the shortest wait again.
_HEALTHY_AFTER = 60.0
log = get_logger(__name__)


class Crew:
    """Keeps *size* workers running; *start* gives another one, *grace* are the seconds to end in.

    The first goes ahead: what is wrong with the configuration is told once, and ends it all with
    exit code 78. Later that is a reason like any other to try again: the others go on as they are.
    """

    def __init__(
        self,
        size: int,
        start: Callable[[], Awaitable[Worker]],
        *,
        grace: float,
        registry: CollectorRegistry,
        backoff: Backoff,
    ) -> None:
        self.workers: list[Worker | None] = [None] * size
        self.draining = False
        self._start = start
        self._grace = grace
        self._backoff = backoff
        self._stop = asyncio.Event()
        self._proven = asyncio.Event()
        self._exit_code = 0
        self._reloads = 0
        self.answering: set[Worker] = set()
        """Those that have answered once, and so are no longer only starting."""
        self._metrics(registry)

    @property
    def name(self) -> str:
        """Return what it is called in the log."""
        return "workers"

    async def run(self, stop: asyncio.Event) -> int:
        """Keep them running until *stop* is set, then end all; return the exit code."""
        self._stop = stop
        keeping = [self._keeper(0)]
        await first_of(self._proven, stop)
        if not stop.is_set():
            keeping += [self._keeper(index) for index in range(1, len(self.workers))]
        await stop.wait()
        await self._end(keeping)
        return self._exit_code

    async def reload(self) -> None:
        """Have every worker read again what may change.

        The signal would kill one that is only starting: it gets it with its first answer.
        """
        self._reloads += 1
        for worker in self.answering:
            worker.send(signal.SIGHUP)

    def _keeper(self, index: int) -> asyncio.Task[None]:
        """Start to keep one place filled; whatever ends that ends them all."""
        task = asyncio.create_task(self._keep(index), name=f"worker {index}")
        task.add_done_callback(lambda _: self._stop.set())
        return task

    async def _keep(self, index: int) -> None:
        failures, loop = 0, asyncio.get_running_loop()
        while not self._stop.is_set():
            started = loop.time()
            code = await self._live(index)
            if self._stop.is_set():
                return
            if code == EX_CONFIG and not self._proven.is_set():
                self._exit_code = code
                return
            failures = 1 if loop.time() - started >= _HEALTHY_AFTER else failures + 1
            delay = self._backoff.delay(failures).total_seconds()
            self._ended.labels(str(index)).inc()
            log.error("worker.ended", worker=index, exit_code=code, restart_in=round(delay, 3))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), delay)

    async def _live(self, index: int) -> int | None:
        """Have one live in this place; return its exit code, None when it could not be born."""
        reloads = self._reloads
        try:
            worker = await self._start()
        except OSError as error:
            log.error("worker.not_started", worker=index, error=str(error))  # noqa: TRY400 - it says all
            return None
        self.workers[index] = worker
        log.info("worker.started", worker=index, pid=worker.pid)
        if self._stop.is_set():
            worker.send(signal.SIGTERM)
        try:
            if await worker.answers():
                self._proven.set()
                self.answering.add(worker)
                if self._reloads != reloads:
                    worker.send(signal.SIGHUP)
            return await worker.ended()
        finally:
            self.answering.discard(worker)
            self.workers[index] = None

    async def _end(self, keeping: Sequence[asyncio.Task[None]]) -> None:
        """Have all drain at once (D22), and kill what does not end in its time."""
        self.draining = True
        log.info("process.draining")
        self._send(signal.SIGTERM)
        _, late = await asyncio.wait(keeping, timeout=self._grace)
        if late:
            log.error("workers.killed", workers=len(late), after=self._grace)
            self._send(signal.SIGKILL)
        await asyncio.gather(*keeping)
        log.info("process.stopped")

    def _send(self, number: signal.Signals) -> None:
        for worker in self.workers:
            if worker is not None:
                worker.send(number)

    def _metrics(self, registry: CollectorRegistry) -> None:
        self._ended = Counter(
            "gatehouse_gateway_worker_ends",
            "Ends of worker processes that nobody had asked for.",
            ["worker"],
            registry=registry,
        )
        Gauge(
            "gatehouse_gateway_workers",
            "Worker processes that run.",
            registry=registry,
        ).set_function(lambda: sum(worker is not None for worker in self.workers))
