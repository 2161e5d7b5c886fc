"""Raw bytes on the wire: whatever comes, the answer is 4xx and a closed connection."""

import asyncio
import gc
import socket
import struct
from pathlib import Path

import pytest

import gateway.protocol
import gateway.proxy.body
from chassis.testing import eventually
from gateway.protocol import GatewayProtocol
from gateway.tests.world import World
from gateway.tests.world import world as start_world

OK = b"GET /open/ok HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
GET = b"GET /open/x HTTP/1.1\r\n"
POST = b"POST /open/x HTTP/1.1\r\nHost: a\r\n"
LOGIN = b"/api/v1/auth/login"

BAD_CHUNK = POST + b"Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n"


class TestPipelining:
    """Several requests at once on one connection."""

    async def test_a_broken_body_is_refused_in_its_turn(self, world: World) -> None:
        """The answers keep the order of the requests."""
        one = b"GET /open/1 HTTP/1.1\r\nHost: a\r\n\r\n"
        answer = await world.raw(one + BAD_CHUNK + OK)
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.count(b"HTTP/1.1 ") == 2
        assert b"HTTP/1.1 400" in answer
        assert [seen.target for seen in world.shop.seen] == ["/open/1"]


class TestTrailers:
    """Fields behind a chunked body."""

    CHUNKED = b"POST /open/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
    LAST = b"Connection: close\r\n\r\n1\r\nx\r\n0\r\n"

    async def test_are_no_headers(self, tmp_path: Path) -> None:
        """Neither an address a trusted proxy did not write, nor anything else."""
        async with start_world(tmp_path, trusted_proxies="127.0.0.1/32") as world:
            head = self.CHUNKED + b"X-Forwarded-For: 198.51.100.7\r\n" + self.LAST
            trailers = b"X-Forwarded-For: 203.0.113.9\r\nHost: b\r\nCookie: a=b\r\nX-Late: 1\r\n"
            answer = await world.raw(head + trailers + b"\r\n")
        assert answer.startswith(b"HTTP/1.1 200")
        (seen,) = world.shop.seen
        assert seen.body == b"x"
        assert seen.header("x-forwarded-for") == "198.51.100.7"
        assert not {"cookie", "x-late"} & {name for name, _ in seen.headers}

    async def test_count_as_headers(self, world: World) -> None:
        """What nobody reads may not be endless either."""
        trailers = b"X-Late: %s\r\n" % (b"1" * 1000) * 40
        answer = await world.raw(self.CHUNKED + self.LAST + trailers + b"\r\n")
        assert answer.startswith(b"HTTP/1.1 431")
        assert world.shop.seen == []

    async def test_leave_the_next_request_whole(self, world: World) -> None:
        """Its headers are read again."""
        first = self.CHUNKED + b"\r\n1\r\nx\r\n0\r\nX-Late: 1\r\n\r\n"
        answer = await world.raw(first + OK.replace(b"Host", b"X-Early: 1\r\nHost"))
        assert answer.count(b"HTTP/1.1 200") == 2
        assert world.shop.seen[1].header("x-early") == "1"


class TestUpgrades:
    """Upgrades are not made: the request is answered as it stands."""

    @pytest.mark.parametrize("protocol", [b"websocket", b"h2c"])
    async def test_end_the_connection(self, world: World, protocol: bytes) -> None:
        """The parser reads nothing after one, so no second request may wait for an answer."""
        upgrade = b"Connection: Upgrade\r\nUpgrade: " + protocol + b"\r\n\r\n"
        answer = await world.raw(GET + b"Host: a\r\n" + upgrade)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in answer.lower()
        assert world.shop.seen[0].header("upgrade") is None

    async def test_keep_the_body(self, world: World) -> None:
        """Some clients offer h2c with whatever they send."""
        body = b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 4\r\n\r\nbo"
        reader, writer = await asyncio.open_connection(world.host, world.port)
        writer.write(POST + body)
        await eventually(world.shop.arrived.is_set)
        writer.write(b"dy and more")
        async with asyncio.timeout(20):
            answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 200")
        assert [seen.body for seen in world.shop.seen] == [b"body"]


class TestSlowClients:
    """Clients that take their time."""

    @pytest.mark.parametrize("said", [b"", b"GET /open/x HT", GET + b"Host: a\r\nX: y\r\n"])
    async def test_do_not_hold_a_connection_without_a_request(
        self, world: World, monkeypatch: pytest.MonkeyPatch, said: bytes
    ) -> None:
        """408 once something was said, else the connection simply closes."""
        monkeypatch.setattr(gateway.protocol, "HEADER_SECONDS", 0.1)
        answer = await world.raw(said)
        assert answer.startswith(b"HTTP/1.1 408") == bool(said)

    @pytest.mark.parametrize(
        ("said", "drop"),
        [
            (GET + b"Host: a\r\nX: ", b"y"),
            (GET + b"Host: a\r\nX:", b" "),
            (GET + b"Host: a\r\n", b"X: y\r\n"),
            (b"", b"\r\n"),
            (GET + b"Host: a\r\n\r\n", b"\r\n"),
        ],
    )
    async def test_gain_nothing_by_dripping(
        self, world: World, monkeypatch: pytest.MonkeyPatch, said: bytes, drop: bytes
    ) -> None:
        """Neither in a header nor by empty lines between requests, which are no request."""
        monkeypatch.setattr(gateway.protocol, "HEADER_SECONDS", 0.2)
        reader, writer = await asyncio.open_connection(world.host, world.port)
        writer.write(said)
        end = asyncio.create_task(reader.read())
        async with asyncio.timeout(20):
            while not end.done():
                writer.write(drop)
                await asyncio.wait([end], timeout=0.02)
        writer.close()

    async def test_do_not_disturb_others(self, world: World) -> None:
        """A hundred half requests, and the next is served."""
        idle = [await asyncio.open_connection(world.host, world.port) for _ in range(100)]
        for _, writer in idle:
            writer.write(b"POST /open/x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf")
        answer = await world.raw(OK)
        for _, writer in idle:
            writer.close()
        assert answer.startswith(b"HTTP/1.1 200")

    async def test_take_no_connection_to_our_services(self, world: World) -> None:
        """More half bodies than there are connections, and others still log in."""
        half = b"POST /api/v1/auth/refresh HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf"
        idle = [await asyncio.open_connection(world.host, world.port) for _ in range(220)]
        for _, writer in idle:
            writer.write(half)
            await writer.drain()
        answer = await world.ask("POST", "/api/v1/auth/login", data=b"{}")
        for _, writer in idle:
            writer.close()
        assert answer.status == 200
        assert [seen.target for seen in world.token.seen] == ["/api/v1/auth/login"]

    @pytest.mark.parametrize("piece", [b"", b"x"])
    async def test_have_a_time_for_a_body_of_ours(
        self, world: World, monkeypatch: pytest.MonkeyPatch, piece: bytes
    ) -> None:
        """Silence and a drip end alike: 408, and nothing has reached the service."""
        monkeypatch.setattr(gateway.proxy.body, "_WHOLE_SECONDS", 0.3)
        reader, writer = await asyncio.open_connection(world.host, world.port)
        writer.write(POST.replace(b"/open/x", LOGIN) + b"Content-Length: 60000\r\n\r\nx")
        # Not to the end: who goes on to send into a closed connection may be reset.
        answer = asyncio.create_task(reader.readuntil(b"\r\n\r\n"))
        while not answer.done():
            writer.write(piece)
            await asyncio.wait([answer], timeout=0.05)
        writer.close()
        assert answer.result().startswith(b"HTTP/1.1 408")
        assert world.token.seen == []

    async def test_do_not_hold_a_slot_by_dripping_a_body(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is sent has to be worth the wait, also where a body is passed on as it comes."""
        monkeypatch.setattr(gateway.proxy.body, "_IDLE_SECONDS", 0.4)
        reader, writer = await asyncio.open_connection(world.host, world.port)
        writer.write(POST + b"Content-Length: 60000\r\n\r\nx")
        answer = asyncio.create_task(reader.readuntil(b"\r\n\r\n"))
        while not answer.done():
            writer.write(b"x")
            await asyncio.wait([answer], timeout=0.05)
        writer.close()
        assert answer.result().startswith(b"HTTP/1.1 408")

    async def test_have_time_for_a_body_behind_another_request(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The time of headers is not that of a body, whatever was answered meanwhile."""
        monkeypatch.setattr(gateway.protocol, "HEADER_SECONDS", 0.2)
        world.shop.hold = asyncio.Event()
        reader, writer = await asyncio.open_connection(world.host, world.port)
        writer.write(GET + b"Host: a\r\n\r\n" + POST + b"Content-Length: 60\r\n\r\nx")
        await eventually(lambda: world.shop.seen)
        world.shop.hold.set()
        await reader.readuntil(b"}")
        answer = asyncio.create_task(reader.readuntil(b"\r\n\r\n"))
        for _ in range(59):
            writer.write(b"x")
            await asyncio.wait([answer], timeout=0.01)
        head = await answer
        writer.close()
        assert head.startswith(b"HTTP/1.1 200")

    async def test_are_not_taken_for_a_slow_upstream(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A body that stops for longer than the upstream's patience (1 s) is the client's 408."""
        monkeypatch.setattr(gateway.proxy.body, "_IDLE_SECONDS", 1.3)
        answer = await world.raw(POST + b"Content-Length: 9\r\n\r\nhalf")
        assert answer.startswith(b"HTTP/1.1 408")


class TestUnreadBodies:
    """Bodies of requests that were refused."""

    @pytest.mark.parametrize("target", [b"/open/../x", b"/open/x", LOGIN])
    async def test_do_not_take_the_answer_away(self, world: World, target: bytes) -> None:
        """Who sends it all before reading still learns why it was refused."""
        size = 900_000
        lengths = {b"/open/x": b"Content-Length: 99999999", LOGIN: b"Content-Length: 900000"}
        length = lengths.get(target, b"Content-Length: 900000")
        reader, writer = await asyncio.open_connection(world.host, world.port)
        writer.write(b"POST " + target + b" HTTP/1.1\r\nHost: a\r\n" + length + b"\r\n\r\n")
        for _ in range(size // 10_000):
            writer.write(b"x" * 10_000)
            await writer.drain()
        async with asyncio.timeout(20):
            answer = await reader.read()
        writer.close()
        assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 413"))

    async def test_are_discarded_to_a_limit(self, world: World) -> None:
        """The answer is read, then the connection ends: nobody uploads a gigabyte to a 401."""
        reader, writer = await asyncio.open_connection(world.host, world.port)
        writer.write(b"POST /shop/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n")
        answer = await reader.readuntil(b"\r\n\r\n")
        with pytest.raises(ConnectionError):
            await _upload_without_end(writer)
        writer.close()
        assert answer.startswith(b"HTTP/1.1 401")


async def _upload_without_end(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


class TestResets:
    """Clients that hang up by a reset."""

    async def test_leave_nothing_behind(self, world: World) -> None:
        """Also after an answer, when the connection would have waited for the next request."""
        reader, writer = await asyncio.open_connection(world.host, world.port)
        writer.write(OK.replace(b"close", b"keep-alive"))
        await reader.readuntil(b"\r\n\r\n")
        await eventually(lambda: _protocols() == 1)
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        await eventually(lambda: _protocols() == 0)


def _protocols() -> int:
    """Return how many connections of clients are in memory, alive or not."""
    gc.collect()
    return sum(isinstance(one, GatewayProtocol) for one in gc.get_objects())
