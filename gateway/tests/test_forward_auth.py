"""Questions of other proxies: each in the words its proxy uses, answered as the edge would."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from chassis.clock import SystemClock
from chassis.testing import eventually
from gateway.tests.browsers import SAME_ORIGIN, Browser
from gateway.tests.proxies import CLIENT, HOST, Ask, Door, Request, envoy, nginx, opened, traefik
from gateway.tests.signing import ISSUER, Subject

EACH = pytest.mark.parametrize("ask", [traefik, nginx, envoy])


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    """Give the door."""
    async with opened(tmp_path) as given:
        yield given


@EACH
class TestEachProxy:
    """What all three ask alike."""

    async def test_learns_whose_request_it_is(self, door: Door, ask: Ask) -> None:
        """200, no body, and the headers that the product gets."""
        ann = Subject(roles=("user", "editor"))
        told = await door.send(ask(Request(headers=door.world.bearer(ann))))
        assert (told.status, told.body) == (200, b"")
        assert told.headers["x-auth-subject"] == ann.id
        assert told.headers["x-auth-session"] == str(ann.sid)
        assert told.headers["x-auth-roles"] == "editor,user"
        assert told.headers["cache-control"] == "no-store"

    async def test_learns_that_a_token_is_needed(self, door: Door, ask: Ask) -> None:
        """401 with the problem and what RFC 6750 asks for."""
        told = await door.send(ask(Request()))
        assert (told.status, told.code) == (401, "unauthenticated")
        assert told.headers["www-authenticate"] == "Bearer"
        assert "x-auth-subject" not in told.headers

    async def test_names_nobody_where_nobody_is_needed(self, door: Door, ask: Ask) -> None:
        """Empty headers, so that a client's own never pass; the token is not looked at."""
        forged = {"X-Auth-Subject": "admin", "X-Auth-Roles": "admin"}
        told = await door.send(ask(Request(target="/", headers=forged)))
        assert told.status == 200
        assert [told.headers[f"x-auth-{name}"] for name in ("subject", "session", "roles")] == [
            ""
        ] * 3

    async def test_is_denied_what_is_not_listed(self, door: Door, ask: Ask) -> None:
        """Another path, method or host, or a path of the platform itself."""
        headers = door.world.bearer(Subject(roles=("admin",)))
        for changed in (
            {"target": "/elsewhere"},
            {"target": "/reports"},
            {"method": "DELETE"},
            {"host": "evil.example.com"},
            {"host": "reports.example.com:8443"},
            {"host": "reports.example.com.evil.com"},
            {"target": "/api/v1/users/me"},
            {"target": "/api/v1/users/me", "host": "localhost:8000"},
            {"target": "/open/x", "host": "localhost"},
        ):
            told = await door.send(ask(Request(headers=headers, **changed)))
            assert (told.status, told.code) == (403, "route_not_listed"), changed

    async def test_may_name_the_host_as_clients_do(self, door: Door, ask: Ask) -> None:
        """Upper case and the usual port mean the same; another port does when it is listed."""
        headers = door.world.bearer(Subject())
        for host in ("Reports.Example.COM", f"{HOST}:443", "other.example.com:8443"):
            assert (await door.send(ask(Request(host=host, headers=headers)))).status == 200

    async def test_is_denied_paths_that_can_be_read_in_two_ways(self, door: Door, ask: Ask) -> None:
        """400, whatever stands behind may make of them."""
        headers = door.world.bearer(Subject())
        for target in (
            "/reports/../admin/x",
            "/reports/%2e%2e/admin/x",
            "//reports/7",
            "/reports/a%2fb",
            "/reports/a;b",
            "/reports/a\\b",
            "/reports/%00",
        ):
            told = await door.send(ask(Request(target=target, headers=headers)))
            assert (told.status, told.code) == (400, "ambiguous_path"), target

    async def test_learns_of_missing_roles(self, door: Door, ask: Ask) -> None:
        """403; with the role 200; the escaped spelling falls under the same rule."""
        for target in ("/admin/x", "/%61dmin/x"):
            for roles, status in ((("user",), 403), (("admin",), 200)):
                headers = door.world.bearer(Subject(roles=roles))
                told = await door.send(ask(Request(target=target, headers=headers)))
                assert told.status == status

    async def test_learns_of_used_up_limits(self, door: Door, ask: Ask) -> None:
        """429 with Retry-After; a 200 says what is left."""
        asked = Request(target="/few", headers=door.world.bearer(Subject()))
        first, _, third = [await door.send(ask(asked)) for _ in range(3)]
        assert (first.status, third.status) == (200, 429)
        assert first.headers["ratelimit"].startswith('"route";r=1')
        assert third.code == "rate_limited"
        assert 1700 < int(third.headers["retry-after"]) <= 1800

    async def test_learns_of_revoked_sessions_and_dead_tokens(self, door: Door, ask: Ask) -> None:
        """401 with the code that says why."""
        ann = Subject()
        headers = door.world.bearer(ann)
        assert (await door.send(ask(Request(headers=headers)))).status == 200
        until = SystemClock().now() + timedelta(minutes=20)
        door.world.token.revoke("sid", str(ann.sid), until)
        await eventually(lambda: door.value("gatehouse_gateway_denylist_entries") == 1)
        told = await door.send(ask(Request(headers=headers)))
        assert (told.status, told.code) == (401, "token_revoked")
        garbage = {"Authorization": "Bearer a.b.c"}
        told = await door.send(ask(Request(headers=garbage)))
        assert (told.status, told.code) == (401, "invalid_token")
        told = await door.send(ask(Request(headers=garbage, target="/x", host="open.example.com")))
        assert (told.status, told.code) == (401, "invalid_token")

    async def test_is_asked_for_the_client(self, tmp_path: Path, ask: Ask) -> None:
        """The block list looks at the client, not at the proxy."""
        async with opened(tmp_path) as door:
            door.world.audit.block(f"{CLIENT}/32")
            await eventually(lambda: door.value("gatehouse_gateway_ip_blocks") == 1)
            headers = door.world.bearer(Subject())
            told = await door.send(ask(Request(headers=headers)))
            assert (told.status, told.code) == (403, "address_blocked")
            for chain in ("198.51.100.1", f"{CLIENT}, 198.51.100.1"):
                told = await door.send(ask(Request(headers=headers, client=chain)))
                assert told.status == 200

    async def test_must_be_trusted(self, door: Door, ask: Ask) -> None:
        """Whoever is not in TRUSTED_PROXIES learns nothing, not even what is public."""
        for target in ("/", "/reports/7"):
            asked = Request(target=target, headers=door.world.bearer(Subject()))
            told = await door.send(ask(asked), source="127.0.0.2")
            assert (told.status, told.code) == (403, "proxy_not_trusted")

    @pytest.mark.parametrize("client", ["", "unknown", "203.0.113.7, ", "203.0.113.7, _hidden"])
    async def test_must_name_the_client(self, door: Door, ask: Ask, client: str) -> None:
        """Else all its clients would be the proxy, which nobody ever blocks."""
        told = await door.send(ask(Request(target="/", client=client)))
        assert (told.status, told.code) == (400, "original_request_unclear")

    @pytest.mark.parametrize("changed", [{"host": ""}, {"host": "a b"}, {"method": "get"}])
    async def test_must_say_what_was_asked(
        self, door: Door, ask: Ask, changed: dict[str, str]
    ) -> None:
        """400 for what is no host or no method."""
        told = await door.send(ask(Request(**{"target": "/", **changed})))  # type: ignore[arg-type]
        assert told.status == 400

    async def test_may_ask_for_a_browser(self, door: Door, ask: Ask) -> None:
        """The access cookie opens what only reads; what changes something needs the proof."""
        browser = Browser(door.world)
        cookie, csrf = {"Cookie": browser.cookie()}, {"X-CSRF-Token": browser.csrf or ""}
        told = await door.send(ask(Request(headers=cookie)))
        assert (told.status, told.headers["x-auth-subject"]) == (200, browser.subject.id)
        for headers, code in (
            (cookie, "cross_origin_refused"),
            (cookie | SAME_ORIGIN, "csrf_token_missing"),
            (cookie | SAME_ORIGIN | {"X-CSRF-Token": "x"}, "csrf_token_invalid"),
            (cookie | csrf | {"Sec-Fetch-Site": "cross-site"}, "cross_origin_refused"),
        ):
            told = await door.send(ask(Request(method="POST", headers=headers)))
            assert (told.status, told.code) == (403, code)
        told = await door.send(ask(Request(method="POST", headers=cookie | csrf | SAME_ORIGIN)))
        assert told.status == 200

    async def test_may_ask_for_a_websocket_connection(self, door: Door, ask: Ask) -> None:
        """With cookies only a page of ours may open one; proxies take Upgrade out of questions."""
        cookie = {"Cookie": Browser(door.world).cookie()}
        opening = {"Sec-WebSocket-Version": "13"}  # over HTTP/2 there is no key (RFC 8441 §5.1)
        for origin in ({}, {"Origin": "null"}, {"Origin": "https://evil.example.com"}):
            told = await door.send(ask(Request(headers=cookie | opening | origin)))
            assert (told.status, told.code) == (403, "cross_origin_refused")
        told = await door.send(ask(Request(headers=cookie | opening | {"Origin": ISSUER})))
        assert told.status == 200
        headers = door.world.bearer(Subject()) | opening
        assert (await door.send(ask(Request(headers=headers)))).status == 200
