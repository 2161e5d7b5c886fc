"""Requests that arrive so many a second.

    python -m bench.gateway.arriving PORT PATH TOKENS_FILE RATE SECONDS

They take any free one of 64 kept connections; when none is free they wait their turn, and that
counts: times run from the arrival. Prints one line of JSON (`bench.gateway.arrivals.Offered`).
"""

import asyncio
import contextlib
import gc
import json
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from itertools import cycle
from pathlib import Path
from typing import cast

import uvloop

from bench.figures import percentile
from bench.gateway.arrivals import Offered
from bench.gateway.saturation import CONNECTIONS

_TICK_SECONDS = 0.001
_LATE_SECONDS = 1.0

_GOOD = b"HTTP/1.1 200 "
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
_END = b"\r\n\r\n"
_LAST_CHUNK = b"\r\n0\r\n\r\n"


class Connection(asyncio.Protocol):
    """One kept connection; tells *answered* whether an answer was good, *lost* when it is gone."""

    def __init__(
        self, answered: Callable[["Connection", bool], None], lost: Callable[["Connection"], None]
    ) -> None:
        self.arrived = 0.0
        self._answered = answered
        self._lost = lost
        self._received = b""
        self._transport: asyncio.Transport

    def ask(self, request: bytes, arrived: float) -> None:
        """Send a request that arrived at that moment of the performance counter."""
        self.arrived = arrived
        self._transport.write(request)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to the system."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take what comes until the answer is whole."""
        self._received += data
        if is_whole(self._received):
            good, self._received = self._received.startswith(_GOOD), b""
            self._answered(self, good)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell that no answer will come here."""
        del exc
        self._lost(self)


class Arrivals:
    """Sends *requests* in turn and keeps the seconds from each arrival to its good answer."""

    def __init__(self, requests: Iterator[bytes]) -> None:
        self._requests = requests
        self._loop = asyncio.get_running_loop()
        self._free: deque[Connection] = deque()
        self._busy: set[Connection] = set()
        self._waiting: deque[float] = deque()
        self._seconds: list[float] = []
        self._bad = 0
        self._idle = asyncio.Event()

    async def connect(self, port: int) -> None:
        """Open the connections."""
        for _ in range(CONNECTIONS):
            _, connection = await self._loop.create_connection(
                lambda: Connection(self._take, self._lose), "127.0.0.1", port
            )
            self._free.append(connection)

    async def run(self, *, rate: float, seconds: float) -> Offered:
        """Let them arrive, wait a little for the last answers."""
        total, arrived, began = int(rate * seconds), 0, time.perf_counter()
        while arrived < total:
            now = time.perf_counter()
            due = min(total, int((now - began) * rate) + 1)
            self._waiting.extend([now] * (due - arrived))
            arrived = due
            self._send()
            await asyncio.sleep(_TICK_SECONDS)
        self._idle.clear()
        if self._waiting or self._busy:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), _LATE_SECONDS)
        return self._outcome(total, rate)

    def _send(self) -> None:
        while self._waiting and self._free:
            connection = self._free.popleft()
            self._busy.add(connection)
            connection.ask(next(self._requests), self._waiting.popleft())

    def _take(self, connection: Connection, good: bool) -> None:  # noqa: FBT001 - a callback
        self._seconds.append(time.perf_counter() - connection.arrived)
        self._bad += not good
        self._busy.discard(connection)
        self._free.append(connection)
        self._send()
        if not self._busy:
            self._idle.set()

    def _lose(self, connection: Connection) -> None:
        self._bad += 1
        self._busy.discard(connection)
        if connection in self._free:
            self._free.remove(connection)

    def _outcome(self, total: int, rate: float) -> Offered:
        now = time.perf_counter()
        late = [*self._waiting, *(connection.arrived for connection in self._busy)]
        times = [*self._seconds, *(now - arrived for arrived in late)]
        p50, p99 = (percentile(times, share) * 1000 for share in (0.5, 0.99))
        return Offered(
            rate=rate, arrived=total, unanswered=len(late), bad=self._bad, p50=p50, p99=p99
        )


def is_whole(received: bytes) -> bool:
    """Say whether one whole answer was received: by its length, or up to its last chunk."""
    head, end, body = received.partition(_END)
    if not end:
        return False
    length = _LENGTH.search(head + end)
    return len(body) == int(length[1]) if length else body.endswith(_LAST_CHUNK)


def requests(port: str, path: str, tokens: Sequence[str]) -> Iterator[bytes]:
    """Go round through the tokens for ever."""
    lines = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer "
    return cycle([f"{lines}{token}\r\n\r\n".encode() for token in tokens])


async def _main(port: str, path: str, tokens_file: str, rate: str, seconds: str) -> None:
    tokens = Path(tokens_file).read_text(encoding="ascii").split()  # noqa: ASYNC240 - nothing else runs yet
    arrivals = Arrivals(requests(port, path, tokens))
    await arrivals.connect(int(port))
    gc.disable()
    offered = await arrivals.run(rate=float(rate), seconds=float(seconds))
    print(json.dumps(asdict(offered)), flush=True)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main(*sys.argv[1:]))
