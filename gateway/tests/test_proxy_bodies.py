"""Bodies on their way through: streamed, limited, and asked for only when wanted."""

import asyncio
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path

import pytest

from gateway.tests.scripted import routes_to, saying, scripted
from gateway.tests.signing import Subject
from gateway.tests.world import World
from gateway.tests.world import world as start_world


class TestBodies:
    """Bodies on their way."""

    async def test_stream_in_pieces_without_a_length(self, world: World) -> None:
        """A chunked body arrives whole."""

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(50):
                yield b"x" * 1000

        answer = await world.ask("POST", "/open/x", data=pieces())
        assert answer.status == 200
        assert world.shop.seen[0].body == b"x" * 50_000
        assert world.shop.seen[0].header("transfer-encoding") == "chunked"

    async def test_reach_the_upstream_before_they_are_complete(self, tmp_path: Path) -> None:
        """Nothing is buffered on the way in, nothing on the way out."""
        heard = asyncio.Event()

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"first")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello")
            heard.set()
            await reader.readuntil(b"second")
            writer.write(b" world")
            await reader.read()

        async with (
            scripted(script) as url,
            start_world(tmp_path, routes_file=routes_to(url, tmp_path)) as world,
        ):
            reader, writer = await asyncio.open_connection(world.host, world.port)
            writer.write(b"POST /odd/x HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nfirst")
            await heard.wait()
            await reader.readuntil(b"hello")
            writer.write(b"second")
            end = await reader.readuntil(b"world")
            writer.close()
        assert end == b" world"

    @pytest.mark.parametrize("chunked", [False, True])
    async def test_end_at_the_limit(self, world: World, *, chunked: bool) -> None:
        """64 KiB for our services: 413, whether the length was declared or not."""

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(17):
                yield b"x" * 4096

        body = pieces() if chunked else b"x" * (64 * 1024 + 1)
        answer = await world.ask("POST", "/api/v1/auth/login", data=body)
        assert (answer.status, answer.document["code"]) == (413, "payload_too_large")
        assert world.token.seen == []

    async def test_of_exactly_the_limit_pass(self, world: World) -> None:
        """64 KiB are not too much."""
        answer = await world.ask("POST", "/api/v1/auth/login", data=b"x" * 64 * 1024)
        assert answer.status == 200
        assert len(world.token.seen[0].body) == 64 * 1024

    async def test_of_imports_reach_our_own_service_as_they_arrive(self, world: World) -> None:
        """And may be larger; a token without the role is refused before."""
        path = "/api/v1/admin/users/import"
        world.identity.hold = asyncio.Event()
        head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n"
        plain, boss = (
            "".join(f"{name}: {value}\r\n" for name, value in world.bearer(who).items())
            for who in (Subject(), Subject(roles=("user", "admin")))
        )
        refused = await world.raw(f"{head}{plain}Connection: close\r\n\r\n".encode())
        assert refused.startswith(b"HTTP/1.1 403")
        assert not world.identity.arrived.is_set()
        reader, writer = await asyncio.open_connection(world.host, world.port)
        writer.write(f"{head}{boss}\r\n".encode() + b"x")
        await world.identity.arrived.wait()
        writer.write(b"x" * 99_999)
        world.identity.hold.set()
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        writer.close()
        assert len(world.identity.seen[0].body) == 100_000

    async def test_lose_the_trailers_of_an_answer(self, tmp_path: Path) -> None:
        """Fields that come after the body are not passed on (RFC 9110 §6.5.1)."""
        said = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Late\r\n\r\n"
        chunks = b"2\r\nhi\r\n0\r\nX-Late: 1\r\n\r\n"
        async with (
            scripted(saying(said + chunks)) as url,
            start_world(tmp_path, routes_file=routes_to(url, tmp_path)) as world,
        ):
            raw = await world.raw(b"GET /odd/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert raw.endswith(b"2\r\nhi\r\n0\r\n\r\n")
        assert b"x-late" not in raw.lower()

    async def test_larger_than_any_buffer_pass_both_ways(self, world: World) -> None:
        """Eight megabytes up and down through a product's route."""
        body = bytes(range(256)) * 32 * 1024
        world.shop.answer = body
        answer = await world.ask("POST", "/open/x", data=BytesIO(body))
        assert answer.body == body
        assert world.shop.seen[0].body == body

    async def test_are_asked_for_only_when_they_are_wanted(self, world: World) -> None:
        """`Expect: 100-continue`: a refused request never sends its body."""
        start = b"POST /shop/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n"
        refused = await world.raw(start + b"Connection: close\r\n\r\n")
        reader, writer = await asyncio.open_connection(world.host, world.port)
        writer.write(start.replace(b"/shop", b"/open") + b"\r\n")
        interim = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"hello")
        final = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        assert refused.startswith(b"HTTP/1.1 401")
        assert interim.startswith(b"HTTP/1.1 100")
        assert final.startswith(b"HTTP/1.1 200")
        assert world.shop.seen[0].body == b"hello"
