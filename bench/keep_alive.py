"""Load by clients that cost little: one request, sent again on a kept connection after each answer.

They run in processes of their own; what these spend is told beside what they counted, so that a
reader can see whether the server was measured or its clients.
"""

import asyncio
import re
import resource
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from typing import Self, cast

import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
_END = b"\r\n\r\n"
_GOOD = b"HTTP/1.1 200 "


@dataclass(frozen=True, slots=True)
class Target:
    """Where one request goes, and its bytes."""

    host: str
    port: int
    request: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Counted:
    """What one process of clients saw: seconds until each answer, its time, its CPU seconds."""

    latencies: Sequence[float]
    seconds: float
    cpu: float


class KeepAlive:
    """*processes* of *connections* each. Use as a context manager."""

    def __init__(self, *, processes: int, connections: int) -> None:
        self._processes = processes
        self._connections = connections
        self._pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def load(self, target: Target, *, seconds: float) -> list[Counted]:
        """Ask for *seconds*. Raises RuntimeError when an answer was not a 200 or did not come."""
        running = [
            self._pool.submit(_ask, target, self._connections, seconds)
            for _ in range(self._processes)
        ]
        return [future.result() for future in running]


class _Connection(asyncio.Protocol):
    """Asks again after each answer, until it is told to stop."""

    def __init__(self, request: bytes) -> None:
        self.latencies: list[float] = []
        self.stopping = False
        self.done = asyncio.get_running_loop().create_future()
        self._request = request
        self._received = b""
        self._asked = 0.0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(_END)
        if not end:
            return
        length = _LENGTH.search(head + end)
        if not head.startswith(_GOOD) or length is None:
            self._fail(f"answered {head.splitlines()[0]!r}")
        elif len(body) == int(length[1]):
            self._answered()

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(f"the connection was closed: {error}")

    def _answered(self) -> None:
        self.latencies.append(time.perf_counter() - self._asked)
        self._received = b""
        if not self.stopping:
            self._ask()
        elif not self.done.done():
            self.done.set_result(None)
            self._transport.close()

    def _ask(self) -> None:
        self._asked = time.perf_counter()
        self._transport.write(self._request)

    def _fail(self, reason: str) -> None:
        if not self.done.done():
            self.done.set_exception(RuntimeError(reason))


def _ask(target: Target, connections: int, seconds: float) -> Counted:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_ask_from_here(target, connections, seconds))


async def _ask_from_here(target: Target, connections: int, seconds: float) -> Counted:
    loop = asyncio.get_running_loop()
    before, began = _cpu_seconds(), time.perf_counter()
    clients = []
    opened = partial(_Connection, target.request)
    for _ in range(connections):
        _, client = await loop.create_connection(opened, target.host, target.port)
        clients.append(client)
    loop.call_later(seconds, _stop, clients)
    async with asyncio.timeout(seconds + 10):
        await asyncio.gather(*(client.done for client in clients))
    latencies = [latency for client in clients for latency in client.latencies]
    return Counted(latencies, time.perf_counter() - began, _cpu_seconds() - before)


def _stop(clients: Sequence[_Connection]) -> None:
    for client in clients:
        client.stopping = True


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
