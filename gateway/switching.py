"""Connections that may become WebSocket connections, when who serves their request makes it so."""

from typing import Any

from gateway.feeding import FeedingProtocol
from gateway.websocket.client import ClientSide


class SwitchingProtocol(FeedingProtocol):
    """uvicorn's protocol, which hands its connection to a tunnel."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._websocket: ClientSide | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        """End the tunnel."""
        if self._websocket is not None:
            self._websocket.end("client_closed")
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Let the tunnel know that the client does not keep up."""
        super().pause_writing()
        if self._websocket is not None:
            self._websocket.is_full(full=True)

    def resume_writing(self) -> None:
        """Let the tunnel know that the client has caught up."""
        super().resume_writing()
        if self._websocket is not None:
            self._websocket.is_full(full=False)

    def shutdown(self) -> None:
        """Begin to close; a tunnel ends at once, for it has no last answer to wait for."""
        if self._websocket is not None:
            self._websocket.end("draining")
        super().shutdown()

    def _offer(self) -> None:
        """Let the request whose headers are complete become a tunnel."""
        side = ClientSide(self.transport, self.cycle, closing=self.wait_for_reader)
        side.offer(self.cycle.scope)
        self._websocket = side

    def _on_rest(self, data: bytes) -> None:
        if self._websocket is not None:
            self._websocket.received(data)
        else:
            super()._on_rest(data)
