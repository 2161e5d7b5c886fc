"""One connection to a server: requests out, answers in, one exchange after the other.

httptools parses; what it lets pass and is not certain is refused here (RFC 9112 §6). Answers are
read as fast as whoever asked takes them, and requests written as fast as the server reads.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable

from httptools import HttpParserError, HttpResponseParser

from chassis.http1.channel import Channel
from chassis.http1.ending import MAX_ANSWER_HEADER_BYTES, tells_its_end
from chassis.http1.trouble import Garbled, HungUp, Trouble

MAX_ANSWER_HEADERS = 200

_BUFFERED_BYTES = 64 * 1024
_FIRST_FINAL, _LAST_FINAL = 200, 599
_NO_BODY = frozenset({204, 304})


class Shortcut(ABC):
    """Who sends a whole request, and takes a whole answer past the parser where that can be."""

    __slots__ = ()

    @abstractmethod
    def send(self, transport: asyncio.Transport, data: bytes) -> None:
        """Send *data*, at the latest when the loop has done what it has at hand."""

    @abstractmethod
    def take(self, connection: "Connection", data: bytes) -> bool:
        """Say whether *data*, the first of the answer, was taken for all of it.

        No data says that none will come.
        """


class Connection(Channel):
    """A connection that serves one request at a time; `begin` is the first call of each.

    *on_lost* is told when it has ended.
    """

    _reading_paused: bool
    _bodyless: bool
    _quiet: int

    def __init__(self, on_lost: "Callable[[Connection], None]") -> None:
        super().__init__()
        self._on_lost = on_lost
        self._parser: HttpResponseParser | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._shortcut: Shortcut | None = None
        self._served = 0
        self._idle_since = 0.0
        self._reset(bodyless=False)
        self.finished = True
        """Whether the last answer was received whole."""

    # What the proxy does with it.

    def begin(self, data: bytes, *, bodyless: bool, shortcut: Shortcut | None = None) -> None:
        """Send the head of a request, or all of it; the answer to a *bodyless* one has no body.

        *shortcut* sends it, and is offered the first bytes of the answer before the parser is.
        """
        if self._parser is None:
            self._parser = HttpResponseParser(self)
        self._reset(bodyless=bodyless)
        self._shortcut = shortcut
        self._served += 1
        if self._transport is None:
            self._fail(HungUp(stale=self._served > 1))
        elif shortcut is None:
            self._transport.write(data)
        else:
            shortcut.send(self._transport, data)

    @property
    def kept_alive(self) -> bool:
        """Whether the answer was taken whole, and another request may follow."""
        return self.is_read and self._keep_alive and self.usable

    @property
    def is_read(self) -> bool:
        """Whether `read` has returned all there was."""
        return self.finished and not self._pieces

    def answered(self) -> bool:
        """Say whether `status` and `headers` are those of the answer. Raises HungUp, Garbled."""
        if self.status:
            return True
        if self._failure is not None:
            raise self._failure
        return False

    def read(self) -> bytes | None:
        """Return what has come of the body: nothing at its end, None when there may be more.

        Raises HungUp, Garbled.
        """
        if self._pieces:
            piece = b"".join(self._pieces) if len(self._pieces) > 1 else self._pieces[0]
            self._pieces.clear()
            self._buffered = 0
            self._resume_reading()
            return piece
        if self.finished:
            return b""
        if self._failure is not None:
            raise self._failure
        return None

    def news(self) -> asyncio.Future[None]:
        """Return what is done once `answered` or `read` may say more; one waits at a time."""
        self._waiter = self._loop.create_future()
        return self._waiter

    def taken(self) -> None:
        """Say that the answer was taken whole, by a shortcut, and may be followed."""
        self.finished = self._keep_alive = self._heard = True

    def rest(self) -> None:
        """Begin to be idle."""
        self._idle_since = self._loop.time()

    @property
    def idle_seconds(self) -> float:
        """Return for how long it has been idle."""
        return self._loop.time() - self._idle_since

    # What the event loop calls.

    def data_received(self, data: bytes) -> None:
        """Read a piece of the answer; bytes that nobody has asked for end the connection."""
        if self._parser is None or self.finished:
            self.close()
            return
        shortcut, self._shortcut = self._shortcut, None
        if shortcut is not None and shortcut.take(self, data):
            return
        self._heard = True
        self._quiet += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            self._fail(Garbled(str(error)))
        if self._quiet > MAX_ANSWER_HEADER_BYTES:
            self._fail(Garbled("there is no end to its headers"))
        self._tell()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the answer: whole when it had no other end, and broken off otherwise."""
        shortcut, self._shortcut = self._shortcut, None
        if shortcut is not None:
            shortcut.take(self, b"")
        self._transport = self._parser = None
        if not self.finished and self._until_close and exc is None and self._failure is None:
            self.finished = True
        elif not self.finished:
            self._fail(HungUp(stale=self._served > 1 and not self._heard))
        self._tell()
        self.resume_writing()
        self._on_lost(self)

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Begin an answer, or one before it (1xx)."""
        if self.finished:
            raise Garbled("an answer to no question")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; those behind the body are dropped (RFC 9110 §6.5.1)."""
        if self.status:
            return
        self.headers.append((name.lower(), value))
        if len(self.headers) > MAX_ANSWER_HEADERS:
            raise Garbled("too many headers")

    def on_headers_complete(self) -> None:
        """Judge the head of an answer; what only announces one is left out."""
        parser = self._parser
        if parser is None:
            return
        status = parser.get_status_code()
        if 100 <= status < _FIRST_FINAL and status != 101:  # noqa: PLR2004 - 1xx, but no upgrade
            self.headers.clear()
            return
        if not _FIRST_FINAL <= status <= _LAST_FINAL:
            raise Garbled(f"status {status}")
        ends = tells_its_end(self.headers, parser.get_http_version())
        has_body = not self._bodyless and status not in _NO_BODY
        # Some servers send the body of an answer to HEAD: it would be taken for the next answer.
        is_certain = has_body or not ends or (b"content-length", b"0") in self.headers
        self._keep_alive = is_certain and parser.should_keep_alive()
        self._until_close = not ends and status not in _NO_BODY
        self._quiet = 0
        self.status = status
        self.finished = self._bodyless

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body; when the client reads slowly, more comes later."""
        if self.finished:
            raise Garbled("a body where there is none")
        self._quiet = 0
        self._pieces.append(body)
        self._buffered += len(body)
        if self._buffered > _BUFFERED_BYTES and not self._reading_paused and self._transport:
            self._reading_paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """End the answer."""
        if self.status:
            self.finished = True

    def _reset(self, *, bodyless: bool) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.finished = False
        self._bodyless = bodyless
        self._pieces: list[bytes] = []
        self._buffered = 0
        self._quiet = 0  # bytes since the last that meant something
        self._heard = self._keep_alive = self._until_close = False
        self._reading_paused = False
        self._failure: Trouble | None = None

    def _fail(self, failure: Trouble) -> None:
        """End the connection; an answer that is whole already stays so."""
        if not self.finished and self._failure is None:
            self._failure = failure
        self.close()

    def _tell(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        self._waiter = None

    def _resume_reading(self) -> None:
        if self._reading_paused and self._transport is not None:
            self._reading_paused = False
            self._transport.resume_reading()
