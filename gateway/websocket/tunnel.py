"""Bytes both ways between a client and an upstream, as fast as the slower one reads."""

import asyncio
from typing import Protocol


class Side(Protocol):
    """One end of a tunnel."""

    def write(self, data: bytes) -> None:
        """Send *data* there."""
        ...

    def pause_reading(self) -> None:
        """Take nothing more from there for now."""
        ...

    def resume_reading(self) -> None:
        """Go on."""
        ...

    def close(self) -> None:
        """Close it once what was written has left."""
        ...


class Tunnel:
    """Two ends joined; *idle* is how long both may be silent, in seconds."""

    def __init__(self, client: Side, upstream: Side, *, idle: float) -> None:
        self._client = client
        self._upstream = upstream
        self._idle = idle
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()
        self._end: asyncio.Future[str] = self._loop.create_future()
        self.bytes_in = 0
        self.bytes_out = 0

    def from_client(self, data: bytes) -> None:
        """Carry *data* to the upstream."""
        self._last = self._loop.time()
        self.bytes_in += len(data)
        self._upstream.write(data)

    def from_upstream(self, data: bytes) -> None:
        """Carry *data* to the client."""
        self._last = self._loop.time()
        self.bytes_out += len(data)
        self._client.write(data)

    def client_is_full(self, *, full: bool) -> None:
        """Read from the upstream only while the client reads."""
        _let(self._upstream, read=not full)

    def upstream_is_full(self, *, full: bool) -> None:
        """Read from the client only while the upstream reads."""
        _let(self._client, read=not full)

    def end(self, reason: str) -> None:
        """End it; the first reason counts."""
        if not self._end.done():
            self._end.set_result(reason)

    async def ended(self) -> str:
        """Wait for the end and return why: what `end` was told, or "idle"."""
        while not self._end.done():
            left = self._last + self._idle - self._loop.time()
            if left <= 0:
                return "idle"
            await asyncio.wait({self._end}, timeout=left)
        return self._end.result()

    def close(self) -> None:
        """Close both ends; what one has sent still reaches the other."""
        self.end("closed")
        self._client.close()
        self._upstream.close()


def _let(side: Side, *, read: bool) -> None:
    if read:
        side.resume_reading()
    else:
        side.pause_reading()
