"""The sending side of a connection: what is written, and how fast the other end reads."""

import asyncio

from chassis.http1.trouble import HungUp


class Channel(asyncio.Protocol):
    """A connection as far as it is open and written to."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._drained: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # a stream's
        """Be open."""
        self._transport = transport

    def write(self, data: bytes) -> None:
        """Send more of the request; what the upstream does not take now, it gets later."""
        if self._transport is not None:
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait until the upstream has taken most of what was written. Raises HungUp."""
        if self._drained is not None:
            await self._drained
        if not self.usable:
            raise HungUp

    @property
    def usable(self) -> bool:
        """Whether it is open."""
        return self._transport is not None and not self._transport.is_closing()

    def close(self) -> None:
        """End it at once."""
        if self._transport is not None:
            self._transport.abort()

    def pause_writing(self) -> None:
        """Take note that the upstream reads more slowly than it is sent to."""
        self._drained = self._loop.create_future()

    def resume_writing(self) -> None:
        """Take note that it has read most of what was sent."""
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None
