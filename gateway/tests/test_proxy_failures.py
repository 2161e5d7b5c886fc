"""Upstreams in trouble and clients that leave: who is told what, and who closes when."""

import asyncio
from pathlib import Path

import pytest

from chassis.testing import eventually
from gateway import unread
from gateway.tests.scripted import routes_to, saying, scripted
from gateway.tests.world import World
from gateway.tests.world import world as start_world

pytestmark = pytest.mark.slow


class TestUpstreamsInTrouble:
    """Upstreams that are away, slow or broken."""

    async def test_our_own_away_is_503(self, tmp_path: Path) -> None:
        """With Retry-After: it comes back."""
        async with start_world(tmp_path, identity_url="http://127.0.0.1:1") as world:
            answer = await world.ask("GET", "/api/v1/auth/password-policy")
        assert (answer.status, answer.document["code"]) == (503, "service_unavailable")
        assert answer.headers["Retry-After"] == "1"

    async def test_a_product_away_is_502(self, tmp_path: Path) -> None:
        """Nobody knows whether it comes back."""
        routes = routes_to("http://127.0.0.1:1", tmp_path)
        async with start_world(tmp_path, routes_file=routes) as world:
            answer = await world.ask("GET", "/odd/x")
        assert (answer.status, answer.document["code"]) == (502, "bad_gateway")

    async def test_silence_is_504(self, world: World) -> None:
        """After the upstream's `read_timeout`."""
        world.shop.hold = asyncio.Event()
        answer = await world.ask("GET", "/open/x")
        assert (answer.status, answer.document["code"]) == (504, "gateway_timeout")
        await world.shop.gone.wait()

    async def test_a_connection_that_is_never_made_is_504(self, tmp_path: Path) -> None:
        """After `connect_timeout`, which is for name, TCP and TLS together."""
        over = asyncio.Event()

        async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            while await reader.read(1024):
                pass
            over.set()

        async with (
            scripted(silent) as url,
            start_world(
                tmp_path, routes_file=routes_to(url.replace("http:", "https:"), tmp_path)
            ) as world,
        ):
            answer = await world.ask("GET", "/odd/x")
            await over.wait()
        assert (answer.status, answer.document["code"]) == (504, "gateway_timeout")

    @pytest.mark.parametrize(
        "said",
        [
            b"",
            b"SSH-2.0-OpenSSH_9\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
            b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        ],
    )
    async def test_nonsense_is_502(self, tmp_path: Path, said: bytes) -> None:
        """Also a hang-up before the answer."""
        async with (
            scripted(saying(said)) as url,
            start_world(tmp_path, routes_file=routes_to(url, tmp_path)) as world,
        ):
            answer = await world.ask("POST", "/odd/x", data=b"x")
        assert (answer.status, answer.document["code"]) == (502, "bad_gateway")

    @pytest.mark.parametrize(
        "said",
        [
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n",
        ],
    )
    async def test_a_broken_answer_is_not_made_whole(self, tmp_path: Path, said: bytes) -> None:
        """The client sees that the end is missing: the connection closes without it."""
        async with (
            scripted(saying(said)) as url,
            start_world(tmp_path, routes_file=routes_to(url, tmp_path)) as world,
        ):
            raw = await world.raw(b"GET /odd/x HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"only this" in raw
        assert not raw.endswith(b"0\r\n\r\n")

    async def test_a_refused_upload_gets_its_answer(self, tmp_path: Path) -> None:
        """An upstream may answer before the body is there, and hang up."""
        said = b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"
        async with (
            scripted(saying(said)) as url,
            start_world(tmp_path, routes_file=routes_to(url, tmp_path)) as world,
        ):
            answer = await world.ask("POST", "/odd/x", data=b"x" * 100_000)
        assert answer.status in (413, 502)

    async def test_a_connection_closed_while_idle_is_not_noticed(self, tmp_path: Path) -> None:
        """An idempotent request is sent again on a fresh connection."""
        served = 0

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal served
            await reader.readuntil(b"\r\n\r\n")
            served += 1
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            await reader.readuntil(b"\r\n\r\n")  # and hang up on the second request

        async with (
            scripted(script) as url,
            start_world(tmp_path, routes_file=routes_to(url, tmp_path)) as world,
        ):
            answers = [await world.ask("GET", "/odd/x") for _ in range(4)]
        assert [answer.status for answer in answers] == [200] * 4
        assert served == 4


class TestClientsThatLeave:
    """Clients that close in the middle."""

    async def test_while_waiting_end_the_upstreams_work(self, world: World) -> None:
        """Nobody computes an answer that nobody reads."""
        world.shop.hold = asyncio.Event()
        _, writer = await asyncio.open_connection(world.host, world.port)
        writer.write(b"GET /open/x HTTP/1.1\r\nHost: a\r\n\r\n")
        await eventually(lambda: world.shop.seen)
        writer.close()
        await eventually(world.shop.gone.is_set, within=0.8)

    async def test_while_sending_end_the_upstreams_wait(self, world: World) -> None:
        """Half a body is no request."""
        _, writer = await asyncio.open_connection(world.host, world.port)
        writer.write(b"POST /open/x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")
        await world.shop.arrived.wait()
        writer.close()
        await eventually(world.shop.gone.is_set)
        assert world.shop.seen == []

    async def test_before_others_of_the_connection_are_noticed(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The request that is being answered ends quietly, though another waits behind it."""
        ended = asyncio.Event()

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            try:
                while True:
                    writer.write(b"1\r\nx\r\n")
                    await writer.drain()
                    await asyncio.sleep(0)
            finally:
                ended.set()

        async with (
            scripted(script) as url,
            start_world(tmp_path, routes_file=routes_to(url, tmp_path)) as world,
        ):
            reader, writer = await asyncio.open_connection(world.host, world.port)
            writer.write(b"GET /odd/x HTTP/1.1\r\nHost: a\r\n\r\n" * 2)
            await reader.readuntil(b"\r\n\r\n")
            writer.transport.abort()
            await eventually(ended.is_set)
        assert "request.crashed" not in capsys.readouterr().out


class TestClientsThatDoNotRead:
    """Clients that ask for much and read nothing."""

    async def test_are_cut(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """And with them the upstream's work; nothing stays open for them."""
        monkeypatch.setattr(unread, "UNREAD_SECONDS", 0.2)
        ended = asyncio.Event()

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            try:
                while True:
                    writer.write(b"x" * 65536)
                    await writer.drain()
            finally:
                ended.set()

        async with (
            scripted(script) as url,
            start_world(tmp_path, routes_file=routes_to(url, tmp_path)) as world,
        ):
            reader, writer = await asyncio.open_connection(world.host, world.port, limit=1024)
            writer.write(b"GET /odd/x HTTP/1.1\r\nHost: a\r\n\r\n")
            await eventually(ended.is_set)
            with pytest.raises(ConnectionError):
                while await reader.read(65536):
                    pass
            writer.close()

    @pytest.mark.parametrize("connection", [b"keep-alive", b"close"])
    async def test_are_cut_after_a_whole_answer_too(
        self,
        world: World,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        connection: bytes,
    ) -> None:
        """What was handed to the connection does not wait there for ever."""
        monkeypatch.setattr(unread, "UNREAD_SECONDS", 0.2)
        world.shop.answer = b"x" * 20_000_000
        _, writer = await asyncio.open_connection(world.host, world.port, limit=1024)
        writer.write(b"GET /open/x HTTP/1.1\r\nHost: a\r\nConnection: %s\r\n\r\n" % connection)
        said = ""

        def cut() -> bool:
            nonlocal said
            said += capsys.readouterr().out
            return "answer.not_read" in said

        await eventually(cut)
        writer.close()
