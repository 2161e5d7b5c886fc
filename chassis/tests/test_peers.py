"""Connections to a peer: kept, never shared, never used after they have gone wrong."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from chassis.http1.trouble import Garbled, HungUp
from chassis.peers import Answer, Peer
from chassis.testing import eventually

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Script:
    """A peer that gives the next of *answers* on each connection, then hangs up."""

    def __init__(self, *connections: Sequence[bytes]) -> None:
        self._connections = iter(connections)
        self.heads: list[bytes] = []
        self.opened = self.closed = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.opened += 1
        try:
            for answer in next(self._connections):
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(answer)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()
            self.closed += 1


@asynccontextmanager
async def peer_of(handle: Handle, *, limit: int = 5) -> AsyncIterator[Peer]:
    """Serve *handle* and give what asks it."""
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    peer = Peer(f"http://127.0.0.1:{port}/base/", limit=limit)
    try:
        yield peer
    finally:
        await peer.close()
        server.close()


async def ask(peer: Peer, method: str = "GET") -> Answer:
    """Ask for something."""
    async with asyncio.timeout(10):
        return await peer.ask(method, "/x?y=1", {"X-Name": "Käfer"}, b"")


class TestKeeping:
    """A connection serves many calls."""

    async def test_the_next_call_has_the_connection_of_the_last(self) -> None:
        """The request is what was asked for, below the path of the base."""
        script = Script([OK, OK])
        async with peer_of(script) as peer:
            answers = [await ask(peer), await ask(peer)]
        assert [answer.body for answer in answers] == [b"{}", b"{}"]
        assert script.opened == 1
        assert script.heads[1].startswith(b"GET /base/x?y=1 HTTP/1.1\r\nhost: 127.0.0.1:")
        assert "X-Name: Käfer\r\n".encode() in script.heads[1]

    async def test_no_more_are_open_than_allowed(self) -> None:
        """Who comes later waits for an answer of others."""
        script = Script([OK] * 20)
        async with peer_of(script, limit=1) as peer:
            await asyncio.gather(*(ask(peer) for _ in range(20)))
        assert script.opened == 1

    async def test_an_answer_that_says_so_is_the_last(self) -> None:
        """`Connection: close`."""
        last = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        script = Script([last, OK], [OK])
        async with peer_of(script) as peer:
            await ask(peer)
            await ask(peer)
        assert script.opened == 2

    async def test_an_answer_before_the_final_is_passed_over(self) -> None:
        """1xx, and its headers with it."""
        script = Script([b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK])
        async with peer_of(script) as peer:
            answer = await ask(peer)
        assert (answer.status, dict(answer.headers)) == (200, {"content-length": "2"})


class TestTrouble:
    """What went wrong on a connection stays with the call it happened to."""

    async def test_a_kept_connection_that_has_ended_costs_a_get_nothing(self) -> None:
        """It is asked again on a fresh one, also when the end is noticed only then."""
        script = Script([OK, b""], [OK])
        async with peer_of(script) as peer:
            await ask(peer)
            assert (await ask(peer)).status == 200
        assert script.opened == 2

    async def test_anything_else_is_never_sent_twice(self) -> None:
        """Nobody knows what the peer did before it hung up."""
        script = Script([OK, b""], [OK])
        async with peer_of(script) as peer:
            await ask(peer)
            with pytest.raises(HungUp):
                await ask(peer, "POST")
        assert len(script.heads) == 2

    async def test_a_fresh_connection_is_not_tried_again(self) -> None:
        """The peer is in trouble."""
        script = Script([b""], [OK])
        async with peer_of(script) as peer:
            with pytest.raises(HungUp):
                await ask(peer)
        assert script.opened == 1

    @pytest.mark.parametrize(
        "garbage",
        [
            b"SMTP ready\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx",
            b"HTTP/1.1 101 Switching\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        ],
    )
    async def test_what_is_no_answer_is_said_to_be_none(self, garbage: bytes) -> None:
        """And the connection is not used again."""
        script = Script([garbage, OK], [OK])
        async with peer_of(script) as peer:
            with pytest.raises(Garbled):
                await ask(peer)
            assert (await ask(peer)).status == 200
        assert script.opened == 2

    async def test_an_endless_answer_is_cut(self) -> None:
        """Beyond eight mebibytes."""
        chunk = b"100000\r\n" + bytes(0x100000) + b"\r\n"
        script = Script([b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunk * 20])
        async with peer_of(script) as peer:
            with pytest.raises(Garbled, match="too large"):
                await ask(peer)

    async def test_an_answer_nobody_waits_for_any_more_meets_nobody_else(self) -> None:
        """Who gave up closed the connection."""
        script = Script([b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsec", OK], [OK])
        async with peer_of(script) as peer:
            call = asyncio.create_task(ask(peer))

            async def asked() -> bool:
                return bool(script.heads)

            await eventually(asked)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert (await ask(peer)).body == b"{}"
        assert script.opened == 2

    async def test_what_comes_unasked_ends_the_connection(self) -> None:
        """A second answer to one question would be taken for that to the next."""
        script = Script([OK + OK, OK], [OK])
        async with peer_of(script) as peer:
            await ask(peer)
            await ask(peer)
        assert script.opened == 2

    async def test_a_header_cannot_begin_another(self) -> None:
        """Whatever is in it."""
        async with peer_of(Script()) as peer:
            with pytest.raises(ValueError, match="line break"):
                await peer.ask("GET", "/x", {"X-Name": "a\r\nX-Other: b"}, b"")
