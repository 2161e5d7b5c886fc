"""The gateway's protocol behind a doorkeeper."""

import asyncio
from typing import ClassVar

from gateway.connections.places import Places
from gateway.protocol import GatewayProtocol
from gateway.unread import reset


class CountedProtocol(GatewayProtocol):
    """A connection that takes a place, and gives it back when it is lost.

    One that finds none is reset before a byte is read. An answer would be more polite and would
    have to linger until the client has read it: those who are too many would hold the descriptors
    that are short, and to whoever holds connections on purpose an answer means nothing. Clients and
    load balancers know a reset from an answer, and that nothing was done: they try again elsewhere.
    """

    places: ClassVar[Places]
    _is_in = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own
        """Let the connection in, or hang up."""
        peer = transport.get_extra_info("peername")
        self._is_in = self.places.take(self, peer[0] if peer else None)
        if self._is_in:
            super().connection_made(transport)
        else:
            reset(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back; one that was never let in has nothing to end."""
        if self._is_in:
            self.places.give_back(self)
            super().connection_lost(exc)

    @property
    def is_idle(self) -> bool:
        """Whether no request is begun or being answered, nor a WebSocket connection open."""
        return (
            self._answered
            and not self._begun
            and self._websocket is None
            and not self._is_ending
            and not self.transport.get_write_buffer_size()
        )

    def give_way(self) -> None:
        """Close an idle connection, as when it was idle for too long."""
        self.timeout_keep_alive_handler()


def counted(protocol: type[GatewayProtocol], places: Places) -> type[CountedProtocol]:
    """Return *protocol* for a door with these places."""
    return type("CountedProtocol", (CountedProtocol, protocol), {"places": places})
