"""Clients that do not read what they are answered.

Closing a connection waits until what was written is read, and nothing ends that wait: without a
limit such a client holds its connection, and the upstream's answer, for as long as it likes.
"""

import asyncio
import socket
import struct
from typing import Any

from chassis.cycle import CyclingProtocol
from chassis.logs import get_logger

UNREAD_SECONDS = 60.0
"""How long what we have written may stay unread: some 48 KiB are to be read in this time."""

_RESET = struct.pack("ii", 1, 0)
log = get_logger(__name__)


class ReadingProtocol(CyclingProtocol):
    """uvicorn's protocol, which hangs up on who does not read."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._unread: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Take note that the client reads more slowly than it is answered: not for ever."""
        super().pause_writing()
        self.wait_for_reader()

    def resume_writing(self) -> None:
        """Take note that the client has read most of what was written."""
        super().resume_writing()
        if not self.transport.is_closing():
            self._stop_waiting()

    def on_response_complete(self) -> None:
        """End a request, and wait for the client only so long when it was the last one."""
        super().on_response_complete()
        if self.transport.is_closing():
            self.wait_for_reader()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, also one whose last answer is never read to its end."""
        super().timeout_keep_alive_handler()
        self.wait_for_reader()

    def wait_for_reader(self) -> None:
        """Give the client its time to read what was written."""
        if self._unread is None:
            self._unread = self.loop.call_later(UNREAD_SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _give_up(self) -> None:
        """Reset the connection: neither we nor the kernel keep what was written."""
        log.warning("answer.not_read", buffered=self.transport.get_write_buffer_size())
        reset(self.transport)


def reset(transport: asyncio.Transport) -> None:
    """Close a connection, and have the kernel forget it at once."""
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()
