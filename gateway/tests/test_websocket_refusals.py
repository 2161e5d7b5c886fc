"""WebSocket connections that are not made: judged like any request, and refused."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from websockets.asyncio.server import serve
from websockets.typing import Origin

from chassis.testing import eventually
from gateway.tests.chats import KEY, ROUTES, Chat, Product, chatting, handshake
from gateway.tests.scripted import scripted
from gateway.tests.signing import ISSUER, SigningKey, Subject, access_token
from gateway.tests.upstreams import TokenService
from gateway.tests.world import world as start_world

pytestmark = pytest.mark.slow

SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
PROOF = b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Product]:
    """Give a gateway before a chat."""
    async with chatting(tmp_path) as running:
        yield running


class TestBrowsers:
    """Handshakes with cookies: any page can make a browser send them."""

    @pytest.mark.parametrize("origin", [ISSUER, "https://app.example"])
    async def test_pass_from_trusted_origins(self, tmp_path: Path, origin: str) -> None:
        """By name, exactly."""
        async with browsing(tmp_path) as (product, cookies):
            async with product.dial(
                "/chat/room", origin=Origin(origin), additional_headers=cookies
            ) as talk:
                await talk.send("hi")
                assert await talk.recv() == "hi"
            assert "Cookie" not in product.chat.seen[0].headers

    @pytest.mark.parametrize(
        "origin",
        [None, "null", "https://evil.example", "https://app.example.evil", "http://app.example"],
    )
    @pytest.mark.parametrize("site", [None, "same-origin", "cross-site"])
    async def test_are_refused_from_any_other(
        self, tmp_path: Path, origin: str | None, site: str | None
    ) -> None:
        """Whatever else the browser says."""
        async with browsing(tmp_path) as (product, cookies):
            headers = cookies | ({"Sec-Fetch-Site": site} if site else {})
            answer = await product.refusal(
                "/chat/room",
                origin=Origin(origin) if origin else None,
                additional_headers=headers,
            )
            assert product.chat.seen == []
        assert answer.status_code == 403
        assert b"cross_origin_refused" in answer.body

    async def test_are_not_asked_where_a_client_sends_a_token(self, product: Product) -> None:
        """No page can make a browser send an Authorization header."""
        ann = Subject()
        async with product.dial("/chat/x", user=ann, origin=Origin("https://evil.example")):
            assert product.chat.seen[0].headers["X-Auth-Subject"] == ann.id


class TestRefusals:
    """Handshakes that lead nowhere."""

    async def test_need_a_token_where_the_route_does(self, product: Product) -> None:
        """As any request."""
        answer = await product.refusal("/chat/room")
        assert answer.status_code == 401
        assert product.chat.seen == []

    async def test_count_once_each(self, product: Product) -> None:
        """A limit counts conversations, not what is said."""
        for _ in range(3):
            async with product.dial("/crowd/room") as talk:
                for _ in range(10):
                    await talk.send("x")
                    await talk.recv()
        answer = await product.refusal("/crowd/room")
        assert answer.status_code == 429

    async def test_of_the_upstream_are_passed_back(self, product: Product) -> None:
        """Status, headers and body."""
        product.chat.refusal = 403
        answer = await product.refusal("/chat/room", user=Subject())
        assert answer.status_code == 403
        assert answer.body == b"not you\n"
        assert answer.headers["X-Why"] == "because"

    async def test_come_when_every_slot_is_taken(self, product: Product) -> None:
        """Each conversation holds one until it ends."""
        user = Subject()
        talks = [await product.dial("/chat/room", user=user) for _ in range(4)]
        answer = await product.refusal("/chat/room", user=user)
        assert answer.status_code == 503
        await talks[0].close()
        await eventually(lambda: product.metric("websockets_open", upstream="chat") == 3)
        async with product.dial("/chat/room", user=user):
            pass
        for talk in talks:
            await talk.close()

    async def test_come_where_the_route_has_no_websockets(self, product: Product) -> None:
        """The upstream sees an ordinary request."""
        answer = await product.refusal("/plain/room")
        assert answer.status_code == 426

    @pytest.mark.parametrize(
        ("change", "status"),
        [
            ((KEY.encode(), b"short"), 400),
            ((KEY.encode(), b"\xff" * 24), 400),
            ((b"Sec-WebSocket-Key", b"X-Key"), 400),
            ((b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Version: 8"), 426),
            ((b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Version: 13, 8"), 426),
            ((b"Sec-WebSocket-Version: 13\r\n", b""), 426),
        ],
    )
    async def test_come_for_a_handshake_that_is_none(
        self, product: Product, change: tuple[bytes, bytes], status: int
    ) -> None:
        """The upstream is not asked."""
        said = handshake("/crowd/room").replace(*change)
        answer = await product.world.raw(said)
        assert answer.startswith(b"HTTP/1.1 %d" % status)
        assert product.chat.seen == []

    @pytest.mark.parametrize(
        "answer",
        [
            SWITCHING + b"Upgrade: websocket\r\n" + PROOF.replace(b"s3", b"S3") + b"\r\n",
            SWITCHING + b"Upgrade: websocket\r\n\r\n",
            SWITCHING + b"Upgrade: h2c\r\n" + PROOF + b"\r\n",
            SWITCHING + PROOF + b"\r\n",
            SWITCHING.replace(b"Upgrade", b"close") + b"Upgrade: websocket\r\n" + PROOF + b"\r\n",
            b"HTTP/1.1 200 OK\r\nCont",
            b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000,
            b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 201 + b"\r\n",
            b"HTTP/1.1 600 High\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            b"SSH-2.0-OpenSSH\r\n",
            b"",
        ],
    )
    async def test_come_for_an_upstream_that_breaks_the_rules(
        self, tmp_path: Path, answer: bytes
    ) -> None:
        """502, and nothing that the client said early is passed on."""
        heard = []

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            writer.write_eof()
            heard.append(await reader.read())

        async with scripted(script) as url, chatting(tmp_path, url=url) as product:
            said = handshake("/crowd/room") + b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
            got = await product.world.raw(said)
            await eventually(lambda: heard)
        assert got.startswith(b"HTTP/1.1 502")
        assert heard == [b""]

    @pytest.mark.parametrize("endless", [b"2\r\nok\r\n0\r\nX-Late: ", b"2\r\nok\r\n1;extension="])
    async def test_end_where_the_upstream_does_not(self, tmp_path: Path, endless: bytes) -> None:
        """Trailers and chunk extensions are kept by nobody: they cannot fill the memory."""
        hung_up = asyncio.Event()

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + endless)
            try:
                for _ in range(256):
                    writer.write(b"y" * 65536)
                    await writer.drain()
            except ConnectionError:
                hung_up.set()

        async with scripted(script) as url, chatting(tmp_path, url=url) as product:
            got = await product.world.raw(handshake("/crowd/room"))
            await eventually(hung_up.is_set)
        assert got.startswith(b"HTTP/1.1 200")
        assert not got.endswith(b"0\r\n\r\n")

    async def test_are_one_answer(self, tmp_path: Path) -> None:
        """What follows it is nobody's."""
        answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer + answer.replace(b"ok", b"no"))
            await reader.read()

        async with scripted(script) as url, chatting(tmp_path, url=url) as product:
            got = await product.world.raw(handshake("/crowd/room"))
        assert got.startswith(b"HTTP/1.1 200")
        assert b"ok" in got.partition(b"\r\n\r\n")[2]
        assert b"no" not in got.partition(b"\r\n\r\n")[2]

    async def test_come_when_nobody_is_there(self, tmp_path: Path) -> None:
        """502 as for any request, and the breaker counts it."""
        async with chatting(tmp_path, url="http://127.0.0.1:1") as product:
            answers = [await product.refusal("/chat/x", user=Subject()) for _ in range(6)]
        assert [answer.status_code for answer in answers] == [502] * 5 + [503]

    async def test_come_when_the_upstream_says_nothing(self, tmp_path: Path) -> None:
        """504 after the time an answer may take."""

        async def script(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            await reader.read()

        async with scripted(script) as url, chatting(tmp_path, url=url) as product:
            answer = await product.refusal("/crowd/room")
        assert answer.status_code == 504


@asynccontextmanager
async def browsing(folder: Path) -> AsyncIterator[tuple[Product, dict[str, str]]]:
    """Start a chat and a gateway that trusts one more origin; give a browser's cookies."""
    chat, key = Chat(), SigningKey("first")
    async with serve(chat, "127.0.0.1", 0, process_request=chat.judge) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        routes = folder / "chat.toml"
        routes.write_text(ROUTES.format(url=f"http://127.0.0.1:{port}"), encoding="utf-8")
        async with start_world(
            folder,
            token=TokenService(keys=[key]),
            routes_file=routes,
            cors_allowed_origins=("https://app.example",),
        ) as world:
            cookies = {"Cookie": f"gatehouse-access={access_token(key, Subject())}"}
            yield Product(world, chat), cookies
