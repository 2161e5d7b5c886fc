"""The corpus on the wire: a gateway before an upstream that keeps every byte it gets."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gateway.tests.corpus.case import Case
from gateway.tests.corpus.reading import (
    Incomplete,
    Message,
    Violation,
    answers_in,
    take_request,
)
from gateway.tests.scripted import scripted
from gateway.tests.world import World
from gateway.tests.world import world as start_world

ROUTES = """
[[upstream]]
name = "shop"
url = "{url}"
max_requests = 10000

[[route]]
path = "/open/{{rest...}}"
methods = ["GET", "POST"]
upstream = "shop"
access = "public"

[[route]]
path = "/shop/{{rest...}}"
methods = ["GET", "POST"]
upstream = "shop"
access = "user"

[[route]]
path = "/shop/orders/all"
methods = ["GET"]
upstream = "shop"
access = ["admin"]
"""
PROBE = b"GET /open/probe HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_HANG_SECONDS = 20
_RESET = struct.pack("ii", 1, 0)


@dataclass
class Recorder:
    """An upstream that reads strictly: `seen` is what it was asked, `wrong` what it cannot read."""

    seen: list[Message] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        data = b""
        while piece := await _read(reader):
            data = self._answer(data + piece, writer)
        try:
            take_request(data)
        except Incomplete as end:
            self.seen += [end.begun] if end.begun else []
        except Violation:
            pass  # noted when it came

    def taken(self) -> list[Message]:
        """Return what came since the last call."""
        seen, self.seen = self.seen, []
        return seen

    def _answer(self, data: bytes, writer: asyncio.StreamWriter) -> bytes:
        """Answer every whole request of *data*; return what is left."""
        try:
            while data:
                message, data = take_request(data)
                self.seen.append(message)
                writer.write(_ANSWER)
        except Incomplete:
            pass
        except Violation as violation:
            self.wrong.append(str(violation))
            writer.close()
        return data


@dataclass
class Stage:
    """A gateway before a recorder."""

    world: World
    upstream: Recorder

    async def say(self, pieces: Sequence[bytes]) -> bytes:
        """Send each piece by itself; return what came back until the gateway closed.

        Raises TimeoutError when it does not.
        """
        reader, writer = await asyncio.open_connection(self.world.host, self.world.port)
        sending = asyncio.create_task(_send(writer, pieces))
        try:
            async with asyncio.timeout(_HANG_SECONDS):
                return await _read_all(reader)
        finally:
            sending.cancel()
            writer.close()

    async def leave(self, data: bytes, how: str) -> None:
        """Send *data* and go: "close" both ways, "half" the one, or "reset"."""
        reader, writer = await asyncio.open_connection(self.world.host, self.world.port)
        writer.write(data)
        await writer.drain()
        if how == "half":
            writer.write_eof()
            async with asyncio.timeout(_HANG_SECONDS):
                await _read_all(reader)
        elif how == "reset":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        writer.transport.abort() if how == "reset" else writer.close()

    def open_requests(self) -> float | None:
        """Return how many requests the gateway is busy with."""
        registry = self.world.gateway.metrics.registry
        return registry.get_sample_value("gatehouse_http_requests_in_flight")

    async def complaints(self, cases: Iterable[Case]) -> list[str]:
        """Play *cases*, one after the other; return what did not come as it must."""
        return [text for case in cases for text in await self._complaints(case)]

    async def is_well(self) -> bool:
        """Say whether the next client is served."""
        answer = await self.say([PROBE])
        self.upstream.taken()
        return answer.startswith(b"HTTP/1.1 200")

    async def _complaints(self, case: Case) -> list[str]:
        pieces = case.pieces if case.unfinished else (*case.pieces, PROBE)
        try:
            answers = answers_in(await self.say(pieces))
        except (TimeoutError, Violation) as error:
            return [f"{case.name}: {type(error).__name__} {error}"]
        statuses = [answer.status for answer in answers]
        seen = [message.target for message in self.upstream.taken() if message.complete]
        wanted, targets = [*case.statuses], [*case.forwarded]
        if case.kept:
            wanted, targets = [*wanted, 200], [*targets, "/open/probe"]
        found = [] if statuses == wanted else [f"answered {statuses}, not {wanted}"]
        if seen != targets:
            found.append(f"forwarded {seen}, not {targets}")
        code = f'"{case.code}"'.encode() if case.code else b""
        refusal = answers[len(case.statuses) - 1 : len(case.statuses)]
        found += [f"says {one.body!r}" for one in refusal if code not in one.body]
        if answers and not answers[-1].says_close and statuses == wanted and not case.unfinished:
            found.append("does not say that it closes")
        found += self.upstream.wrong
        self.upstream.wrong.clear()
        return [f"{case.name}: {text}" for text in found]


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[Stage]:
    """Set it up."""
    upstream = Recorder()
    async with scripted(upstream) as url:
        routes = folder / "corpus.toml"
        routes.write_text(ROUTES.format(url=url), encoding="utf-8")
        async with start_world(folder, routes_file=routes) as world:
            yield Stage(world, upstream)


async def _send(writer: asyncio.StreamWriter, pieces: Sequence[bytes]) -> None:
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)  # lets the gateway, in the same loop, read it by itself
    except ConnectionError:
        pass  # refused before all was said


async def _read_all(reader: asyncio.StreamReader) -> bytes:
    data = b""
    while piece := await _read(reader):
        data += piece
    return data


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(65536)
    except ConnectionError:
        return b""
