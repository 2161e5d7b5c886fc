"""The client's end: a connection that was uvicorn's until its upgrade was made."""

import asyncio
from collections.abc import Callable
from typing import Any

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from gateway.websocket.connected import Connected
from gateway.websocket.tunnel import Tunnel

_EXTENSION = "gatehouse.websocket"


class ClientSide(Connected):
    """What a request may become; *closing* is called when its connection closes from here."""

    def __init__(
        self,
        transport: asyncio.Transport,
        cycle: RequestResponseCycle,
        *,
        closing: Callable[[], None],
    ) -> None:
        self._transport = transport
        self._cycle = cycle
        self._closing = closing
        self._early = b""
        self._ended: str | None = None
        self._tunnel: Tunnel | None = None
        self._full = False

    def offer(self, scope: Any) -> None:
        """Let whoever serves the request of *scope* make its upgrade."""
        scope["extensions"] = {_EXTENSION: self}

    def switch(self) -> None:
        """Have the next answer written as 101: its headers end it, and it keeps the connection."""
        self._cycle.keep_alive = True
        self._cycle.chunked_encoding = False

    def join(self, tunnel: Tunnel) -> None:
        """Hand to *tunnel* what was received, and all that will be."""
        self._tunnel = tunnel
        self.resume_reading()  # first: what was early may fill the upstream
        early, self._early = self._early, b""
        if early:
            tunnel.from_client(early)
        if self._full:
            tunnel.client_is_full(full=True)
        if self._ended is not None:
            tunnel.end(self._ended)

    def received(self, data: bytes) -> None:
        """Take what the client sends behind its request; before the upgrade it has to wait."""
        if self._tunnel is not None:
            self._tunnel.from_client(data)
        elif data:
            self._early += data
            self.pause_reading()

    def is_full(self, *, full: bool) -> None:
        """Take note that the client does not read, or does again."""
        self._full = full
        if self._tunnel is not None:
            self._tunnel.client_is_full(full=full)

    def end(self, reason: str) -> None:
        """End the tunnel, also one that is still to be joined."""
        self._ended = self._ended or reason
        if self._tunnel is not None:
            self._tunnel.end(reason)

    def close(self) -> None:
        """Close the connection once the client has what was written."""
        self._cycle.disconnected = True  # no answer is owed any more
        self._transport.close()
        self._closing()


def client_side_of(scope: Scope) -> ClientSide | None:
    """Return the client's end of what the request of *scope* may become, if it may."""
    side: ClientSide | None = scope.get("extensions", {}).get(_EXTENSION)
    return side
