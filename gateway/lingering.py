"""The last answer of a connection, given to a client that may still be sending.

Closing with bytes unread makes the kernel reset the connection, and a reset takes away what the
client has not read yet (RFC 9112 §9.6): so our side ends, and what still comes is dropped.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from gateway.unread import ReadingProtocol

DISCARDED_BYTES = 1024 * 1024
LINGER_SECONDS = 2.0


class LingeringProtocol(ReadingProtocol):
    """uvicorn's protocol, which lets a client finish before it closes."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._lingering = False
        self._discarded = 0
        self._farewell: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        if self._farewell is not None:
            self._farewell.cancel()
        super().connection_lost(exc)

    def on_headers_complete(self) -> None:
        """Begin a request whose last answer may linger."""
        super().on_headers_complete()
        self._let_linger(self.cycle)

    def on_response_complete(self) -> None:
        """End an answer; after the last one nothing begins."""
        if not self._lingering:
            super().on_response_complete()

    def _let_linger(self, cycle: RequestResponseCycle) -> None:
        last: Any = _LastWords(self)
        cycle.transport = last

    def discard(self, data: bytes) -> None:
        """Count what nobody reads any more; too much of it ends the connection."""
        self._discarded += len(data)
        if self._discarded > DISCARDED_BYTES:
            self.transport.abort()

    def linger(self) -> None:
        """End our side, and close when the client has had its time."""
        self._lingering = True
        self.flow.resume_reading()
        self.transport.resume_reading()
        self.transport.write_eof()
        self._say_farewell()

    def close_after_answer(self) -> None:
        """Close, at once when nothing more can be on its way."""
        if self.transport.is_closing() or self._lingering:
            return
        if self._more_may_come():
            self.linger()
        else:
            self.transport.close()

    def _say_farewell(self) -> None:
        self._farewell = self.loop.call_later(LINGER_SECONDS, self._end)
        if self.transport.get_write_buffer_size():
            self.wait_for_reader()

    def _end(self) -> None:
        if self.transport.get_write_buffer_size():
            self._say_farewell()  # it still reads; for how long is not for here to say
        else:
            self.transport.abort()

    def _more_may_come(self) -> bool:
        raise NotImplementedError


class _LastWords:
    """The transport as a request sees it: closing it may take a moment."""

    def __init__(self, protocol: LingeringProtocol) -> None:
        self._protocol = protocol
        self.write = protocol.transport.write
        self.is_closing = protocol.transport.is_closing
        self.close = protocol.close_after_answer
