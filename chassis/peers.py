"""Connections to one peer of ours: HTTP/1.1, kept between calls, one call at a time on each."""

import asyncio
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import cast
from urllib.parse import urlsplit

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

_CONNECT_SECONDS = 2.0
# The peer closes what was idle for 30 seconds: it is never used while that happens.
_IDLE_SECONDS = 15.0
_MAX_ANSWER_BYTES = 8 * 1024 * 1024
_FINAL = 200


class PeerUnreadableError(ValueError):
    """What came is no answer of HTTP, or too large."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Peer:
    """At most *limit* connections to where *base_url* points; the last used is the next taken."""

    def __init__(self, base_url: str, *, limit: int) -> None:
        parts = urlsplit(base_url)
        self._host = parts.hostname or ""
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._port = parts.port or (443 if self._tls else 80)
        self._prefix = parts.path.rstrip("/")
        self._authority = parts.netloc.rpartition("@")[2]
        self._free = asyncio.Semaphore(limit)
        self._idle: list[_Connection] = []
        self._closed = False

    def close(self) -> None:
        """Close what is idle; what is in use is closed when its answer is there."""
        self._closed = True
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    async def ask(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        """Send one request and return its answer; who calls bounds the time.

        A GET is sent again when a kept connection turns out to have ended. Raises OSError when the
        peer is away or hangs up, PeerUnreadableError.
        """
        message = self._message(method, target, headers, body)
        async with self._free:
            kept = self._take()
            if kept is not None:
                try:
                    return await self._exchange(kept, message)
                except ConnectionError:
                    if method != "GET":
                        raise
            return await self._exchange(await self._open(), message)

    async def _exchange(self, connection: "_Connection", message: bytes) -> Answer:
        answer = None
        try:
            answer = await connection.exchange(message)
        finally:
            if answer is None or self._closed or not connection.is_reusable:
                connection.close()
            else:
                self._idle.append(connection)
        return answer

    def _take(self) -> "_Connection | None":
        usable_since = time.monotonic() - _IDLE_SECONDS
        while self._idle:
            connection = self._idle.pop()
            if connection.is_reusable and connection.idle_since > usable_since:
                return connection
            connection.close()
        return None

    async def _open(self) -> "_Connection":
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, connection = await asyncio.get_running_loop().create_connection(
                _Connection, self._host, self._port, ssl=self._tls
            )
        return connection

    def _message(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> bytes:
        lines = [f"{method} {self._prefix}{target} HTTP/1.1", f"host: {self._authority}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines.append(f"content-length: {len(body)}")
        if any("\r" in line or "\n" in line for line in lines):
            raise ValueError("a line break in a request's head")
        return "\r\n".join((*lines, "", "")).encode() + body


class _Connection(asyncio.Protocol):
    """One connection, and the answer that is on its way."""

    def __init__(self) -> None:
        self.idle_since = 0.0
        self.is_reusable = True
        self._transport: asyncio.Transport | None = None
        self._parser = HttpResponseParser(self)
        self._answer: asyncio.Future[Answer] | None = None
        self._headers: dict[str, str] = {}
        self._body = bytearray()

    async def exchange(self, message: bytes) -> Answer:
        """Send *message* and return its answer. Raises ConnectionError, PeerUnreadableError."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError
        self._headers, self._body = {}, bytearray()
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(message)
        return await self._answer

    def close(self) -> None:
        """Hang up; an answer that is on its way is lost."""
        self.is_reusable = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what is written to."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        self._end(ConnectionResetError(str(exc or "the peer hung up")))

    def data_received(self, data: bytes) -> None:
        """Read on; what nobody waits for ends the connection."""
        if self._answer is None or self._answer.done():
            self.close()
            return
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._end(PeerUnreadableError(type(error).__name__))
            self.close()

    def on_message_begin(self) -> None:
        """See an answer begin; a second one to one question would be taken for the next one's."""
        if self._answer is None or self._answer.done():
            self.is_reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        self._body += body
        if len(self._body) > _MAX_ANSWER_BYTES:
            self._end(PeerUnreadableError("too large"))
            self.close()

    def on_message_complete(self) -> None:
        """Hand the answer over, unless it is one before the final."""
        status = self._parser.get_status_code()
        if self._answer is None or self._answer.done():
            return
        if status < _FINAL:
            self._headers = {}
            return
        self.is_reusable = self.is_reusable and self._parser.should_keep_alive()
        self.idle_since = time.monotonic()
        answer = Answer(status, MappingProxyType(self._headers), bytes(self._body))
        self._answer.set_result(answer)

    def _end(self, error: Exception) -> None:
        self.is_reusable = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
