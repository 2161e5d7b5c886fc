"""Serving deployables: uvicorn on uvloop, one or several in one loop, drained on SIGTERM (D22)."""

import asyncio
import contextlib
import gc
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from typing import Any

from starlette.types import ASGIApp

from chassis.app import Deployable, Door
from chassis.cycle import WholeProtocol
from chassis.hangup import Hangups
from chassis.logs import get_logger

# isort: split
from uvicorn.config import Config  # bare by now: see chassis.cycle
from uvicorn.server import Server

log = get_logger(__name__)
_BACKLOG = 1024
_KEEP_ALIVE_SECONDS = 30
_STARTUP_SECONDS = 15
_COLLECT_AFTER = 2500  # new containers


class _Server(Server):
    """A uvicorn server that leaves the signals to us and can be awaited."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Capture nothing: several servers share one process."""
        yield


class Listener:
    """One ASGI app on one socket that is bound."""

    def __init__(
        self,
        app: ASGIApp,
        bound: socket.socket,
        *,
        drain_timeout: float,
        protocol: type[asyncio.Protocol] = WholeProtocol,
    ) -> None:
        self.socket = bound
        config = Config(
            app,
            loop="none",
            http=protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=max(1, int(drain_timeout)),
            backlog=_BACKLOG,
        )
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Accept connections; return once that is so."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self.socket]))
        async with asyncio.timeout(_STARTUP_SECONDS):
            while not self._server.started:
                if self._task.done():
                    await self._task
                    raise RuntimeError("the server ended before it had started")
                await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Stop accepting, answer what is in flight, then close."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
        self.socket.close()


class Serving:
    """Deployables that are up; `addresses` tells where, by name.

    A worker of several has its sockets *given*, by the names of its deployable's doors: then it has
    no ops port, its parent has.
    """

    def __init__(
        self,
        deployables: Sequence[Deployable],
        *,
        given: Mapping[str, socket.socket] | None = None,
    ) -> None:
        self._deployables = deployables
        self._given = given
        self._public: list[Listener] = []
        self._ops: list[Listener] = []
        self._resources = contextlib.AsyncExitStack()
        self.addresses: dict[str, tuple[str, int]] = {}
        self.ops_addresses: dict[str, tuple[str, int]] = {}

    async def start(self) -> None:
        """Bring every deployable up, in the given order; undo it all when one cannot."""
        try:
            for deployable in self._deployables:
                await self._start_one(deployable)
        except BaseException:
            await self.stop()
            raise

    async def drain(self) -> None:
        """Fail readiness, go on serving for the drain delay, then stop (D22)."""
        for deployable in self._deployables:
            deployable.health.draining = True
        await asyncio.sleep(max(d.settings.drain_delay_seconds for d in self._deployables))
        await self.stop()

    async def stop(self) -> None:
        """Stop listeners in reverse order (the gateway comes last, so it goes first)."""
        for listener in reversed(self._public):
            await listener.stop()
        await self._resources.aclose()
        for listener in reversed(self._ops):
            await listener.stop()

    async def _start_one(self, deployable: Deployable) -> None:
        settings = deployable.settings
        if self._given is None:
            await self._start_ops(deployable)
        doors = [self._open(deployable, door) for door in deployable.all_doors]
        self.addresses[deployable.name] = doors[0].socket.getsockname()[:2]
        await self._resources.enter_async_context(deployable.lifespan())
        for door in doors:
            await door.start()
        deployable.health.started = True
        log.info("deployable.started", deployable=deployable.name, port=settings.port)

    async def _start_ops(self, deployable: Deployable) -> None:
        settings = deployable.settings
        bound = bind(settings.ops_host, settings.ops_port)
        drain = settings.drain_timeout_seconds
        self._ops.append(Listener(deployable.ops, bound, drain_timeout=drain))
        self.ops_addresses[deployable.name] = bound.getsockname()[:2]
        await self._ops[-1].start()

    def _open(self, deployable: Deployable, door: Door) -> Listener:
        """Take the place of *door*; nothing is accepted there yet."""
        settings = deployable.settings
        given = self._given
        self._public.append(
            Listener(
                door.app,
                bind(settings.host, door.port) if given is None else given[door.name],
                drain_timeout=settings.drain_timeout_seconds,
                protocol=door.protocol,
            )
        )
        return self._public[-1]


async def serve(
    deployables: Sequence[Deployable],
    *,
    given: Mapping[str, socket.socket] | None = None,
    on_started: Callable[[Serving], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then drain and return; SIGHUP reloads (`chassis.hangup`).

    *given* are the sockets of a worker (see `Serving`).
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    serving = Serving(deployables, given=given)
    async with Hangups(deployables, stop):
        await serving.start()
        _spare_the_collector()
        if on_started:
            on_started(serving)
        await stop.wait()
        log.info("process.draining")
        await serving.drain()
    log.info("process.stopped")


def run(build: Callable[[], Deployable]) -> None:
    """Build one deployable inside a uvloop and serve it: the body of every `__main__`."""

    async def main() -> None:
        await serve([build()])

    run_in_uvloop(main())


def run_in_uvloop(main: Coroutine[Any, Any, None]) -> None:
    """Run *main* in a loop of its own, to its end."""
    import uvloop  # noqa: PLC0415 - not there on Windows, where only the tests of pure parts run

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


def _spare_the_collector() -> None:
    """Let the garbage collector pass over what a service has built to stay.

    Looking at all of it again and again took a twentieth of a service's time.
    """
    sys.path_importer_cache.clear()  # which files each folder holds: few are looked for from now on
    gc.collect()
    gc.freeze()
    # The oldest are looked at when a quarter of as many have joined them as there were the last
    # time: once more, for now there are none.
    gc.collect()
    gc.set_threshold(_COLLECT_AFTER, 5, 2)


def bind(host: str, port: int) -> socket.socket:
    """Take a TCP port; nothing is accepted on it yet. Ends the process when it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise SystemExit(f"Cannot listen on {host}:{port}: {error.strerror}") from None
    bound.set_inheritable(False)
    return bound
