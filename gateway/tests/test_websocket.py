"""WebSocket connections to products: what passes through, and how it ends."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import serve
from websockets.typing import Origin, Subprotocol

from chassis.clock import SystemClock
from chassis.server import Serving
from chassis.testing import eventually
from gateway.app import build
from gateway.tests.chats import ROUTES, Chat, Product, chatting, handshake, over
from gateway.tests.signing import Subject
from gateway.tests.upstreams import Echo, TokenService, serving
from gateway.tests.world import make_settings

pytestmark = pytest.mark.slow

MEGABYTE = 1024 * 1024


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Product]:
    """Give a gateway before a chat."""
    async with chatting(tmp_path) as running:
        yield running


class TestConversations:
    """What passes through."""

    async def test_carry_messages_both_ways(self, product: Product) -> None:
        """Text and binary, small and of a megabyte, and pings of both."""
        async with product.dial("/chat/room", user=Subject(), max_size=None) as talk:
            for message in ("hello", b"\x00\xff", "x" * MEGABYTE, b"\xfe" * MEGABYTE, ""):
                await talk.send(message)
                assert await talk.recv() == message
            await (await talk.ping())
            (other,) = product.chat.talking
            await (await other.ping())
        assert talk.close_code == 1000
        await eventually(lambda: product.metric("websockets_open", upstream="chat") == 0)

    async def test_tell_the_upstream_who_calls(self, product: Product) -> None:
        """Like any request: no token, no platform cookie, no forged header; the protocol's own."""
        ann = Subject()
        forged = {"X-Auth-Subject": "eve", "X-Real-IP": "6.6.6.6", "Cookie": "gatehouse-x=1; a=b"}
        async with product.dial(
            "/chat/room?x=1",
            user=ann,
            additional_headers=forged,
            subprotocols=[Subprotocol("v2")],
            origin=Origin("https://any.example"),
        ) as talk:
            assert talk.response is not None
            assert "permessage-deflate" in talk.response.headers["Sec-WebSocket-Extensions"]
            assert "X-Request-Id" in talk.response.headers
        (seen,) = product.chat.seen
        assert seen.path == "/chat/room?x=1"
        assert seen.headers.get_all("X-Auth-Subject") == [ann.id]
        assert seen.headers.get_all("X-Real-IP") == ["127.0.0.1"]
        assert seen.headers.get_all("Cookie") == ["a=b"]
        assert seen.headers.get_all("Sec-WebSocket-Protocol") == ["v2"]
        assert seen.headers.get_all("Origin") == ["https://any.example"]
        assert "Authorization" not in seen.headers

    async def test_wait_for_a_slow_reader(self, product: Product) -> None:
        """The gateway keeps little of what nobody takes, and all of it arrives."""
        count = 64
        slow = {"max_size": None, "max_queue": 1, "compression": None}
        async with product.dial("/chat/room", user=Subject(), **slow) as talk:
            sending = asyncio.create_task(_send(talk, count))
            await eventually(lambda: _is_stuck(product))
            received = [await talk.recv() for _ in range(count)]
            await sending
        assert received == [bytes([number]) * MEGABYTE for number in range(count)]

    async def test_begin_with_what_came_early(self, product: Product) -> None:
        """A frame right behind the request waits for the 101."""
        reader, writer = await asyncio.open_connection(product.world.host, product.world.port)
        writer.write(handshake("/crowd/x") + b"\x81\x82\x00\x00\x00\x00hi")
        async with asyncio.timeout(20):
            head = await reader.readuntil(b"\r\n\r\n")
            frame = await reader.readexactly(4)
        writer.close()
        assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        assert b"transfer-encoding" not in head
        assert b"\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in head
        assert frame == b"\x81\x02hi"

    async def test_leave_ordinary_requests_ordinary(self, product: Product) -> None:
        """A route with WebSockets still serves the rest."""
        answer = await product.world.ask("GET", "/crowd/x")
        assert answer.status == 426  # the chat's own answer


class TestEnds:
    """How a conversation ends."""

    async def test_come_when_the_upstream_closes(self, product: Product) -> None:
        """With its last words."""
        async with product.dial("/crowd/room") as talk:
            await eventually(lambda: product.chat.talking)
            (other,) = product.chat.talking
            await other.close(4001, "go away")
            await over(talk)
        assert talk.close_code == 4001

    async def test_come_when_the_client_is_gone(self, product: Product) -> None:
        """The upstream learns of it."""
        talk = await product.dial("/crowd/room")
        await eventually(lambda: product.chat.talking)
        talk.transport.abort()
        await eventually(lambda: not product.chat.talking)
        await eventually(
            lambda: product.metric(
                "websockets_ended_total", upstream="chat", reason="client_closed"
            )
        )

    @pytest.mark.parametrize("kind", ["jti", "sid", "sub"])
    async def test_come_when_the_token_is_revoked(self, product: Product, kind: str) -> None:
        """Within the second, and not for others."""
        ann, ben = Subject(), Subject()
        values = {"jti": "this-one", "sid": str(ann.sid), "sub": ann.id}
        mine = product.world.bearer(ann, jti="this-one")
        async with (
            product.dial("/chat/room", additional_headers=mine) as talk,
            product.dial("/chat/room", user=ben) as other,
        ):
            until = SystemClock().now() + timedelta(minutes=5)
            product.world.token.revoke(kind, values[kind], until, ann.ver + 1)
            await over(talk)
            await other.send("still here")
            assert await other.recv() == "still here"
        assert talk.close_code == 1006
        reason = "token_stale" if kind == "sub" else "token_revoked"
        assert product.metric("websockets_ended_total", upstream="chat", reason=reason) == 1

    async def test_come_when_the_token_expires(self, product: Product) -> None:
        """At `exp` and the leeway a request would have had."""
        headers = product.world.bearer(Subject(), lifetime=timedelta(seconds=-28))
        async with product.dial("/chat/room", additional_headers=headers) as talk:
            await over(talk)
        assert product.metric("streams_ended_total", reason="token_expired") == 1

    async def test_come_when_nobody_says_anything(self, product: Product) -> None:
        """After the route's idle time."""
        async with product.dial("/restless/room", ping_interval=None) as talk:
            await over(talk)
        assert product.metric("websockets_ended_total", upstream="chat", reason="idle") == 1

    async def test_come_with_a_drain(self, tmp_path: Path) -> None:
        """At once: a conversation has no last answer to wait for."""
        chat, others = Chat(), {name: Echo(name) for name in ("identity", "notify", "audit")}
        async with (
            serve(chat, "127.0.0.1", 0) as server,
            serving(token=TokenService(), **others) as urls,
        ):
            port = next(iter(server.sockets)).getsockname()[1]
            routes = tmp_path / "chat.toml"
            routes.write_text(ROUTES.format(url=f"http://127.0.0.1:{port}"), encoding="utf-8")
            settings = make_settings(urls, routes_file=routes, drain_timeout_seconds=60)
            running = Serving([build(settings)])
            await running.start()
            host, port = running.addresses["gateway"]
            async with connect(f"ws://{host}:{port}/crowd/x", proxy=None) as talk:
                async with asyncio.timeout(30):
                    await asyncio.gather(running.drain(), over(talk))
            await eventually(lambda: not chat.talking)


async def _send(talk: ClientConnection, count: int) -> None:
    for number in range(count):
        await talk.send(bytes([number]) * MEGABYTE)


def _is_stuck(product: Product) -> bool:
    """Say whether the chat waits for somebody to read."""
    return any(talk.transport.get_write_buffer_size() for talk in product.chat.talking)
