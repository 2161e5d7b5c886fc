"""Calling a scripted upstream without a gateway around."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from chassis.http1.connections import Connections
from chassis.http1.head import head_of
from chassis.http1.names import Origin
from gateway.proxy.body import Patience
from gateway.proxy.call import Call, Content
from gateway.tests.scripted import Script, scripted

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Caller:
    """Asks one origin, over kept connections."""

    origin: Origin
    connections: Connections = field(default_factory=Connections)
    patience: float = 5.0

    async def begin(self, content: Content = None, *, method: str = "GET") -> Call:
        """Ask, and return the call as soon as its answer begins; new connections have 2 s."""
        connection = self.connections.find(self.origin, None)
        if connection is None:
            connection = await self.connections.open(self.origin, within=2.0)
        call = Call(connection, Patience(self.patience), self.origin)
        head = head_of(method, "/", ((b"host", b"a"),))
        await call.ask(head, content, chunked=True, bodyless=method == "HEAD")
        return call

    def end(self, call: Call) -> bool:
        """End the call; say whether its connection was kept."""
        kept = call.end()
        if kept:
            self.connections.keep(call.connection, self.origin, None)
        return kept

    async def ask(self, content: Content = None, *, method: str = "GET") -> tuple[int, bytes, bool]:
        """Return status and body of one answer, and whether the connection was kept."""
        call = await self.begin(content, method=method)
        kept = False
        try:
            body = await rest_of(call)
        finally:
            kept = self.end(call)
        return call.status, body, kept


async def rest_of(call: Call) -> bytes:
    """Return what is left of the answer's body."""
    pieces = []
    while not call.is_read:
        pieces.append(await call.read())
    return b"".join(pieces)


@asynccontextmanager
async def calling(script: Script) -> AsyncIterator[Caller]:
    """Run *script* for each connection; give a caller."""
    async with scripted(script) as url:
        caller = Caller(Origin.of(url))
        try:
            yield caller
        finally:
            await caller.connections.close()


class Saying:
    """A script that says *answers* in turn, one to each request's head, and stays."""

    def __init__(self, *answers: bytes) -> None:
        self._answers = iter(answers)
        self.connections = 0
        self.heads: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        while True:
            self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(next(self._answers))
            await writer.drain()
