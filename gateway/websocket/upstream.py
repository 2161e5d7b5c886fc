"""The upstream's end: a connection of its own, which begins with one request and its answer."""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Any

import httptools

from chassis.http1.connection import MAX_ANSWER_HEADERS
from chassis.http1.ending import MAX_ANSWER_HEADER_BYTES, tells_its_end
from chassis.http1.trouble import Garbled
from gateway.websocket.connected import Connected
from gateway.websocket.tunnel import Tunnel

_BUFFERED_BYTES = 64 * 1024
_CLOSE_SECONDS = 30.0
_INFORMATIONAL = range(100, 200)
_FINAL = range(200, 600)
_SWITCHED = 101


@dataclass(frozen=True, slots=True)
class Head:
    """How an answer begins."""

    status: int
    headers: list[tuple[bytes, bytes]]


class NoAnswer(Exception):  # noqa: N818 - a state of the connection
    """The upstream closed the connection, or spoke no HTTP."""


class UpstreamSide(Connected, asyncio.Protocol):
    """Reads an answer, and after 101 nothing any more: then the bytes are the tunnel's."""

    def __init__(self) -> None:
        self._transport: Any = None
        self._parser: Any = httptools.HttpResponseParser(self)
        self._headers: list[tuple[bytes, bytes]] = []
        self._head: asyncio.Future[Head] = asyncio.get_running_loop().create_future()
        self._quiet = 0  # bytes since the last that meant something
        self._pieces: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._complete = self._lost = False
        self._early = b""
        self._tunnel: Tunnel | None = None
        self._closing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take bytes: of the answer, or of what comes behind it."""
        if self._tunnel is not None:
            self._tunnel.from_upstream(data)
        elif self._parser is None:
            self._early += data
            self.pause_reading()
        else:
            self._feed(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """End what waits."""
        del exc
        if self._closing is not None:
            self._closing.cancel()
        self._fail()
        if self._tunnel is not None:
            self._tunnel.end("upstream_closed")

    def pause_writing(self) -> None:
        """Let the client wait: the upstream does not read."""
        if self._tunnel is not None:
            self._tunnel.upstream_is_full(full=True)

    def resume_writing(self) -> None:
        """Let the client go on."""
        if self._tunnel is not None:
            self._tunnel.upstream_is_full(full=False)

    async def ask(self, request: bytes) -> Head:
        """Send *request*; return how it is answered. Raises NoAnswer."""
        self._transport.write(request)
        return await self._head

    async def next_piece(self) -> bytes:
        """Return the next piece of the answer's body, empty at its end. Raises NoAnswer."""
        while not self._pieces:
            if self._complete:
                return b""
            if self._lost:
                raise NoAnswer
            self._news.clear()
            await self._news.wait()
        piece = self._pieces.popleft()
        if not self._pieces:
            self.resume_reading()
        return piece

    def join(self, tunnel: Tunnel) -> None:
        """Hand to *tunnel* what came behind the 101, and all that will."""
        self._tunnel = tunnel
        self.resume_reading()  # first: what was early may fill the client
        early, self._early = self._early, b""
        if early:
            tunnel.from_upstream(early)
        if self._lost:
            tunnel.end("upstream_closed")

    def close(self) -> None:
        """Close the connection once the upstream has what was written, or does not take it."""
        if self._lost or self._closing is not None:
            return
        self._transport.close()
        loop = asyncio.get_running_loop()
        self._closing = loop.call_later(_CLOSE_SECONDS, self._transport.abort)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header of the answer."""
        if not self._head.done():
            self._headers.append((name.lower(), value))
        if len(self._headers) > MAX_ANSWER_HEADERS:
            raise Garbled("too many headers")

    def on_headers_complete(self) -> None:
        """Say how the answer begins, unless it is only of the interim."""
        status = self._parser.get_status_code()
        if status in _INFORMATIONAL and status != _SWITCHED:
            self._headers = []
            return
        if self._head.done() or (status not in _FINAL and status != _SWITCHED):
            raise Garbled(f"status {status}")
        if status != _SWITCHED:
            tells_its_end(self._headers, self._parser.get_http_version())
        self._quiet = 0
        self._head.set_result(Head(status, self._headers))

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body until it is asked for."""
        self._quiet = 0
        self._pieces.append(body)
        if sum(map(len, self._pieces)) > _BUFFERED_BYTES:
            self.pause_reading()
        self._news.set()

    def on_message_complete(self) -> None:
        """Take note of the end of the answer."""
        if self._head.done():
            self._complete = True
            self._news.set()

    def eof_received(self) -> None:
        """End a body that ends with the connection."""
        framed = {b"content-length", b"transfer-encoding"} & {name for name, _ in self._headers}
        if self._head.done() and not framed:
            self.on_message_complete()

    def _feed(self, data: bytes) -> None:
        self._quiet += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as stop:
            self._parser = None
            self.data_received(data[stop.args[0] :])
        except httptools.HttpParserError:
            self._break_off()
        else:
            if self._quiet > MAX_ANSWER_HEADER_BYTES:
                self._break_off()

    def _break_off(self) -> None:
        """Hang up on who speaks no HTTP, or without an end."""
        self._transport.abort()
        self._fail()

    def _fail(self) -> None:
        self._lost = True
        self._news.set()
        if not self._head.done():
            self._head.set_exception(NoAnswer())
            self._head.exception()  # somebody may have stopped waiting
