"""Passing requests on: what reaches an upstream, what comes back, and who closes when."""

import asyncio
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path

import pytest

from chassis.testing import eventually
from gateway.tests.scripted import routes_to, saying, scripted
from gateway.tests.signing import Subject
from gateway.tests.world import World
from gateway.tests.world import world as start_world

SPOOFED = {
    "X-Forwarded-For": "6.6.6.6",
    "X-Forwarded-Host": "evil",
    "X-Forwarded-Proto": "gopher",
    "X-Forwarded-Port": "1",
    "X_Forwarded_For": "6.6.6.6",
    "Forwarded": "for=6.6.6.6",
    "X-Real-IP": "6.6.6.6",
    "X-Real_Ip": "6.6.6.6",
    "X-Auth-Subject": "admin",
    "X_Auth_Roles": "admin",
    "x-auth-anything": "x",
    "Gatehouse-Assertion": "x.y",
    "Gatehouse_Assertion": "x.y",
    "X-Request-Id": "mine",
    "X-Original-URL": "/admin",
    "X-Rewrite-Url": "/admin",
    "X-HTTP-Method-Override": "DELETE",
    "Proxy-Authorization": "Basic x",
    "Keep-Alive": "timeout=5",
    "TE": "trailers",
    "Upgrade": "h2c",
    "Connection": "X-Drop-Me, close",
    "X-Drop-Me": "1",
    "Expect": "nothing",
}


class TestRequests:
    """What reaches the upstream."""

    async def test_are_forwarded_as_they_came(self, world: World) -> None:
        """Method, path, query and body, byte for byte."""
        target = "/shop/caf%C3%A9/%7Ea?x=%2e%2e&x=2&y=a+b?c"
        headers = {**world.bearer(Subject()), "X-Mine": "1", "Content-Type": "text/weird"}
        answer = await world.ask("PUT", target, data=b"\x00\xff" * 1000, headers=headers)
        seen = world.shop.seen[0]
        assert answer.status == 200
        assert (seen.method, seen.target, seen.body) == ("PUT", target, b"\x00\xff" * 1000)
        assert seen.header("x-mine") == "1"
        assert seen.header("content-type") == "text/weird"
        assert seen.header("content-length") == "2000"

    async def test_name_the_user_to_a_product(self, world: World) -> None:
        """By headers, without the token and without the platform's cookies."""
        ann = Subject(roles=("user", "buyer"))
        cookies = "theme=dark; __Host-gatehouse_session=secret; gatehouse-csrf=x; lang=de"
        headers = {**world.bearer(ann), "Cookie": cookies}
        await world.ask("GET", "/shop/basket", headers=headers)
        seen = world.shop.seen[0]
        assert seen.header("x-auth-subject") == ann.id
        assert seen.header("x-auth-session") == str(ann.sid)
        assert seen.header("x-auth-roles") == "buyer,user"
        assert seen.header("authorization") is None
        assert seen.header("cookie") == "theme=dark; lang=de"
        assert seen.header("gatehouse-assertion") is None

    async def test_name_nobody_on_a_public_route(self, world: World) -> None:
        """A stranger cannot say who they are."""
        await world.ask("GET", "/open/page", headers=SPOOFED)
        assert world.shop.seen[0].header("x-auth-subject") is None

    async def test_carry_the_token_only_where_the_route_says_so(self, world: World) -> None:
        """`forward_token = true` is a choice."""
        headers = world.bearer(Subject())
        await world.ask("GET", "/shop/raw/x", headers=headers)
        assert world.shop.seen[0].header("authorization") == headers["Authorization"]

    async def test_have_every_spoofed_header_replaced(self, world: World) -> None:
        """Only the gateway says who calls from where, also to frameworks that fold underscores."""
        ann = Subject()
        await world.ask("GET", "/shop/x", headers={**SPOOFED, **world.bearer(ann)})
        seen = world.shop.seen[0]
        names = {name.replace("_", "-") for name, _ in seen.headers}
        assert seen.values("x-forwarded-for") == ["127.0.0.1"]
        assert seen.values("x-real-ip") == ["127.0.0.1"]
        assert seen.values("x-forwarded-host") == ["localhost:8000"]
        assert seen.values("x-forwarded-proto") == ["http"]
        assert seen.values("x-auth-subject") == [ann.id]
        assert seen.values("x-auth-roles") == ["user"]
        assert seen.header("x-request-id") != "mine"
        assert not names & {
            "forwarded", "gatehouse-assertion", "x-auth-anything", "x-original-url", "te",
            "x-rewrite-url", "x-http-method-override", "proxy-authorization", "keep-alive",
            "upgrade", "x-drop-me", "expect", "x-forwarded-port", "connection",
        }  # fmt: skip
        assert not [name for name, _ in seen.headers if "_" in name]

    async def test_carry_a_genuine_assertion_to_our_services(self, world: World) -> None:
        """A forged one and its copies are gone (the service would refuse two)."""
        headers = {**SPOOFED, **world.bearer(Subject())}
        answer = await world.ask("GET", "/api/v1/users/me?x=1", headers=headers)
        seen = world.identity.seen[0]
        assert answer.status == 200
        assert seen.assertion is not None
        assert seen.assertion.client_address == "127.0.0.1"
        assert not [name for name, _ in seen.headers if name.startswith("x-auth")]

    async def test_carry_no_cookie_to_our_services(self, world: World) -> None:
        """Without a CSRF check a cookie proves nothing."""
        headers = {**world.bearer(Subject()), "Cookie": "__Host-gatehouse_session=x"}
        await world.ask("GET", "/api/v1/users/me", headers=headers)
        assert world.identity.seen[0].header("cookie") is None

    async def test_continue_the_clients_trace(self, world: World) -> None:
        """W3C Trace Context: same trace, new span."""
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        await world.ask("GET", "/open/x", headers={"traceparent": trace})
        passed = world.shop.seen[0].header("traceparent")
        assert passed is not None
        assert passed.startswith("00-0af7651916cd43dd8448eb211c80319c-")
        assert passed != trace


class TestAnswers:
    """What comes back."""

    async def test_are_passed_on_raw(self, world: World) -> None:
        """Compressed bytes stay compressed, duplicates stay duplicates."""
        world.shop.answer = b"\x1f\x8b not really gzip"
        world.shop.headers = [
            (b"content-encoding", b"gzip"),
            (b"set-cookie", b"a=1"),
            (b"set-cookie", b"b=2"),
            (b"set-cookie", b"__Host-gatehouse_session=stolen"),
            (b"set-cookie", b"Gatehouse-csrf=x"),
            (b"connection", b"x-hop"),
            (b"x-hop", b"1"),
            (b"x-auth-subject", b"fine"),
        ]
        raw = await world.raw(
            b"GET /open/x HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n"
        )
        head, _, body = raw.partition(b"\r\n\r\n")
        assert body == world.shop.answer
        assert head.count(b"set-cookie") == 2
        assert b"stolen" not in head
        assert b"x-hop" not in head

    async def test_of_products_keep_their_own_headers(self, world: World) -> None:
        """A page of a product is not put under the policy of our API."""
        world.shop.headers = [(b"cache-control", b"max-age=60")]
        answer = await world.ask("GET", "/open/x")
        assert answer.headers["Cache-Control"] == "max-age=60"
        assert "Content-Security-Policy" not in answer.headers
        assert answer.headers["X-Content-Type-Options"] == "nosniff"

    @pytest.mark.parametrize("status", [301, 304, 204, 404, 500])
    async def test_keep_their_status(self, world: World, status: int) -> None:
        """Redirects are not followed, errors not dressed up."""
        world.shop.status = status
        world.shop.headers = [(b"location", b"/elsewhere"), (b"etag", b'"1"')]
        answer = await world.ask("GET", "/open/x")
        assert answer.status == status
        assert answer.headers["Location"] == "/elsewhere"
        assert len(world.shop.seen) == 1

    async def test_to_head_have_the_headers_and_no_body(self, world: World) -> None:
        """The length is that of the body a GET would get."""
        raw = await world.raw(b"HEAD /open/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        head, _, body = raw.partition(b"\r\n\r\n")
        assert world.shop.seen[0].method == "HEAD"
        assert b"content-length: " in head
        assert b"transfer-encoding" not in head
        assert body == b""


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
