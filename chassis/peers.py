"""Calls to one peer of ours: HTTP/1.1 over kept connections, whole requests for whole answers."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from chassis.http1.connection import Connection
from chassis.http1.connections import Connections
from chassis.http1.head import head_of
from chassis.http1.names import Origin
from chassis.http1.trouble import Garbled, HungUp

_CONNECT_SECONDS = 2.0
# The peer closes what was idle for 30 seconds: it is never used while that happens.
_KEEP_SECONDS = 15.0
_MAX_ANSWER_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Peer:
    """At most *limit* connections to where *base_url* points; the last used is the next taken."""

    def __init__(self, base_url: str, *, limit: int) -> None:
        self._origin = Origin.of(base_url)
        self._prefix = urlsplit(base_url).path.rstrip("/")
        self._connections = Connections(keep=_KEEP_SECONDS)
        self._free = asyncio.Semaphore(limit)

    async def close(self) -> None:
        """Close every connection; an answer that is on its way is lost."""
        await self._connections.close()

    async def ask(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        """Send one request and return its answer; who calls bounds the time.

        A GET is sent again when a kept connection turns out to have ended. Raises Trouble,
        TimeoutError, ValueError for a header that would begin another.
        """
        message = self._head(method, target, headers, body) + body
        async with self._free:
            kept = self._connections.find(self._origin, None)
            if kept is not None:
                try:
                    return await self._exchange(kept, message)
                except HungUp:
                    if method != "GET":
                        raise
            fresh = await self._connections.open(self._origin, within=_CONNECT_SECONDS)
            return await self._exchange(fresh, message)

    async def _exchange(self, connection: Connection, message: bytes) -> Answer:
        try:
            connection.begin(message, bodyless=False)
            while not connection.answered():
                await connection.news()
            headers = {name.decode(): value.decode("latin-1") for name, value in connection.headers}
            return Answer(connection.status, headers, await _body(connection))
        finally:
            if connection.kept_alive:
                self._connections.keep(connection, self._origin, None)
            else:
                connection.close()

    def _head(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> bytes:
        fields = [(b"host", self._origin.authority.encode())]
        fields += ((name.encode(), value.encode()) for name, value in headers.items())
        fields.append((b"content-length", b"%d" % len(body)))
        return head_of(method, self._prefix + target, fields)


async def _body(connection: Connection) -> bytes:
    """Return the whole body of the answer. Raises Trouble."""
    body = bytearray()
    while not connection.is_read:
        piece = connection.read()
        if piece is None:
            await connection.news()
            continue
        body += piece
        if len(body) > _MAX_ANSWER_BYTES:
            raise Garbled("too large")
    return bytes(body)
