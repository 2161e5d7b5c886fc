"""What the two sides of a tunnel have in common: a connection that may be closing."""

import asyncio


class Connected:
    """A `gateway.websocket.tunnel.Side` but for its end; `_transport` is its connection."""

    _transport: asyncio.Transport

    def write(self, data: bytes) -> None:
        """Send *data* to the other end."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def pause_reading(self) -> None:
        """Take nothing more from the other end for now."""
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on."""
        if not self._transport.is_closing():
            self._transport.resume_reading()
