"""Passing requests on: what reaches an upstream, and what comes back."""

import pytest

from gateway.tests.signing import Subject
from gateway.tests.world import World

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
    "Expect": "100-continue",
    "X-User-Id": "admin",
    "X-User": "admin",
    "X-Roles": "admin",
    "Remote-User": "admin",
    "X-Remote-User": "admin",
    "X-Authenticated-User": "admin",
    "Client-IP": "6.6.6.6",
    "X-Originating-IP": "6.6.6.6",
    "Proxy": "http://evil",
    "Gatehouse-Device": "secret",
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
            "x-user-id", "x-user", "x-roles", "remote-user", "x-remote-user",
            "x-authenticated-user", "client-ip", "x-originating-ip", "proxy", "gatehouse-device",
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
            (b"set-cookie", b"=__Host-gatehouse_session=stolen"),
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

    async def test_of_products_do_not_speak_for_the_whole_host(self, world: World) -> None:
        """A product shares the host: it cannot switch its protection off, nor log users out."""
        world.shop.headers = [
            (b"strict-transport-security", b"max-age=0"),
            (b"clear-site-data", b'"cookies"'),
            (b"alt-svc", b'h2="evil.example:443"'),
            (b"service-worker-allowed", b"/"),
        ]
        answer = await world.ask("GET", "/open/x")
        assert answer.headers["Strict-Transport-Security"].startswith("max-age=63072000")
        assert not {"Clear-Site-Data", "Alt-Svc", "Service-Worker-Allowed"} & set(answer.headers)

    async def test_to_our_services_keep_the_device(self, world: World) -> None:
        """Only token knows what to do with it."""
        await world.ask("POST", "/api/v1/auth/login", data=b"{}", headers={"Gatehouse-Device": "d"})
        assert world.token.seen[0].header("gatehouse-device") == "d"

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
