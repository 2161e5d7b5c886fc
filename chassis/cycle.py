"""Requests and their answers on a client's connection: uvicorn's cycles, for less.

What uvicorn can be told to do and never is here is left out, and a head is searched once for what
would end a line, not twice for each of its headers.
"""

import asyncio
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

from chassis.bare import import_bare

# Not its command line, reloader and process manager: 1.6 MiB.
import_bare("uvicorn", Config="uvicorn.config", Server="uvicorn.server")
from uvicorn.protocols.http.httptools_impl import (  # noqa: E402 - now that it is bare
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

_NO_BODY = frozenset({204, 304})
# RFC 9110 §5.5: what no header may hold, besides what ends a line, which is counted.
_CONTROLS = bytes({*range(0x20), 0x7F} - {*b"\t\r\n"})


class Cycle(RequestResponseCycle):
    """One request and its answer, whose head goes out before anything of its body is there."""

    async def send(self, message: Any) -> None:
        """Send one message of the answer. Raises RuntimeError for what would make none."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        awaited = "http.response.body" if self.response_started else "http.response.start"
        if self.disconnected or self.response_complete or message["type"] != awaited:
            await super().send(message)  # it knows what to say of that
        elif self.response_started:
            self._continue(message.get("body", b""), last=not message.get("more_body", False))
        else:
            self._begin(message["status"], message["headers"])

    def _begin(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        lines, closes = [STATUS_LINE[status]], False
        for name, value in (*self.default_headers, *headers):
            lines.append(b"%b: %b\r\n" % (name, value))
            if name == b"content-length":
                self.expected_content_length, self.chunked_encoding = int(value), False
            elif name == b"connection":
                closes = value.lower() == b"close"
        self.keep_alive = self.keep_alive and not closes
        if not self.keep_alive and not closes:
            lines.append(b"connection: close\r\n")
        if self.chunked_encoding is None and not self._is_bodyless(status):
            self.chunked_encoding = True
            lines.append(b"transfer-encoding: chunked\r\n")
        head = b"".join(lines)
        if not _is_clean(head, len(lines)):
            raise RuntimeError("a header holds what is not allowed there")
        self.response_started = True
        self.waiting_for_100_continue = False
        self._write(head + b"\r\n")

    def _continue(self, body: bytes, *, last: bool) -> None:
        if self.scope["method"] == "HEAD":
            self.expected_content_length = 0
            self._write(b"")
        elif self.chunked_encoding:
            piece = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            self._write(piece + b"0\r\n\r\n" if last else piece)
        else:
            self.expected_content_length -= len(body)
            if self.expected_content_length < 0:
                raise RuntimeError("the body is longer than its Content-Length")
            self._write(body)
        if last:
            self._complete()

    def _complete(self) -> None:
        if self.expected_content_length:
            raise RuntimeError("the body is shorter than its Content-Length")
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()

    def _write(self, piece: bytes) -> None:
        self.transport.write(piece)

    def _is_bodyless(self, status: int) -> bool:
        return status in _NO_BODY or self.scope["method"] == "HEAD"


class WholeCycle(Cycle):
    """One request and its answer, whose head waits for the first piece of its body.

    For who has the body at hand: the two are one write then, and one arrival at the other end.
    """

    _head: bytes | None = None

    def _write(self, piece: bytes) -> None:
        if self._head is None:  # it is what is written first
            self._head = piece
            return
        self.transport.write(self._head + piece)
        self._head = b""


def _is_clean(head: bytes, lines: int) -> bool:
    """Say whether *head* has so many lines, and no control character in any of them."""
    ends = head.count(b"\r\n") == head.count(b"\r") == head.count(b"\n") == lines
    return ends and len(head.translate(None, _CONTROLS)) == len(head)


class CyclingProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with these cycles, for request targets that are paths."""

    cycles: type[Cycle] = Cycle

    def on_headers_complete(self) -> None:
        """Begin a request, in its turn."""
        scope, before = self.scope, self.cycle
        raw_path, _, query = self.url.partition(b"?")  # a path it is, and without a fragment
        path = raw_path.decode("latin-1")
        scope["method"] = self.parser.get_method().decode("ascii")
        scope["http_version"] = self.parser.get_http_version()
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"] = raw_path
        scope["query_string"] = query
        keep_alive = scope["http_version"] == "1.1" and self.parser.should_keep_alive()
        self.cycle = self._cycle_of(scope, keep_alive=keep_alive)
        self.cycle.waiting_for_100_continue = self.expect_100_continue
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def _cycle_of(self, scope: Any, *, keep_alive: bool) -> Cycle:
        return self.cycles(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,  # Date
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=keep_alive,
            on_response=self.on_response_complete,
        )


class WholeProtocol(CyclingProtocol):
    """What a service speaks: whole answers, to the gateway and to other services."""

    cycles = WholeCycle
