"""A tunnel whose ends are joined while one of them does not read."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from gateway.websocket.client import ClientSide
from gateway.websocket.tunnel import Tunnel
from gateway.websocket.upstream import UpstreamSide

EARLY = b"x" * 1024


class Transport:
    """One that is full once something was written; `on_full` is told."""

    def __init__(self) -> None:
        self.reading = True
        self.written = b""
        self.on_full: Callable[[], None] = lambda: None

    def write(self, data: bytes) -> None:
        """Take *data*, and be full."""
        self.written += data
        self.on_full()

    def is_closing(self) -> bool:
        """Never."""
        return False

    def pause_reading(self) -> None:
        """Read no more."""
        self.reading = False

    def resume_reading(self) -> None:
        """Read again."""
        self.reading = True


class TestJoining:
    """What was said early may fill an end before both are joined."""

    async def test_a_client_that_does_not_read_makes_the_upstream_wait(self) -> None:
        """Nobody says a second time that it is full."""
        ends = Ends()
        ends.client_transport.on_full = lambda: ends.client.is_full(full=True)
        ends.upstream._early = EARLY

        ends.join()

        assert ends.client_transport.written == EARLY
        assert not ends.upstream_transport.reading
        ends.client.is_full(full=False)
        assert ends.upstream_transport.reading

    async def test_an_upstream_that_does_not_read_makes_the_client_wait(self) -> None:
        """Also when it is the handshake's early bytes that fill it."""
        ends = Ends()
        ends.upstream_transport.on_full = ends.upstream.pause_writing
        ends.client.received(EARLY)

        ends.join()

        assert ends.upstream_transport.written == EARLY
        assert not ends.client_transport.reading
        ends.upstream.resume_writing()
        assert ends.client_transport.reading

    async def test_ends_that_read_go_on(self) -> None:
        """Both had to wait for the upgrade."""
        ends = Ends()
        ends.client.received(EARLY)

        ends.join()

        assert ends.client_transport.reading
        assert ends.upstream_transport.reading


class Ends:
    """Both ends, not joined yet."""

    def __init__(self) -> None:
        self.client_transport, self.upstream_transport = Transport(), Transport()
        transport = cast("asyncio.Transport", self.client_transport)
        self.client = ClientSide(transport, cast("Any", None), closing=lambda: None)
        self.upstream = UpstreamSide()
        self.upstream.connection_made(cast("asyncio.BaseTransport", self.upstream_transport))

    def join(self) -> None:
        """Join them, in the order in which it is done for a request."""
        tunnel = Tunnel(self.client, self.upstream, idle=60.0)
        self.upstream.join(tunnel)
        self.client.join(tunnel)
