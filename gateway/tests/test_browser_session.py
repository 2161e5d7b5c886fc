"""The session in a browser: login, refresh and logout by cookies, and the CSRF endpoint."""

from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from gateway.tests.browsers import CSRF, SAME_ORIGIN, Browser, handing_over, set_cookies
from gateway.tests.signing import Subject, access_token
from gateway.tests.world import Answer, World
from gateway.tests.world import world as start_world

LOGIN, LOGOUT, REFRESH, TOKEN = (
    f"/api/v1/auth/{name}" for name in ("login", "logout", "refresh", "csrf")
)
IN_BROWSER = {"Gatehouse-Mode": "browser", **SAME_ORIGIN}
CREDENTIALS = {"username": "ann", "password": "x"}
SID = UUID("01890000-0000-7000-8000-000000000001")


async def log_in(world: World, **headers: str) -> Answer:
    """Log in as a page does."""
    return await world.ask("POST", LOGIN, json=CREDENTIALS, headers={**IN_BROWSER, **headers})


class TestLogin:
    """POST /api/v1/auth/login with `Gatehouse-Mode: browser`."""

    async def test_sets_the_cookies_of_the_session(self, world: World) -> None:
        """All four, and nothing of what they hold is in the body or any other header."""
        handing_over(world, SID)
        answer = await log_in(world)
        cookies = set_cookies(answer)
        assert answer.document == {"expires_in": 900, "session_id": str(SID)}
        assert {name: value for name, (value, _) in cookies.items() if "csrf" not in name} == {
            "gatehouse-access": "new.access.token",
            "gatehouse-refresh": "gh_rt_new",
            "gatehouse-device": "gh_dt_new",
        }
        assert CSRF.read(cookies["gatehouse-csrf"][0]) == SID
        assert not [name for name in answer.headers if name.lower().startswith("gatehouse")]
        assert answer.headers["Cache-Control"] == "no-store"

    async def test_binds_them_to_the_host_under_https(self, tmp_path: Path) -> None:
        """`__Host-`, Secure, Path=/, no Domain; only the device's outlives the browser."""
        base = "https://auth.example"
        async with start_world(tmp_path, public_base_url=base) as world:
            handing_over(world, SID)
            answer = await log_in(world, Host="auth.example", Origin=base)
        cookies = set_cookies(answer)
        assert set(cookies) == {
            f"__Host-gatehouse-{kind}" for kind in ("access", "refresh", "csrf", "device")
        }
        for name, (_, attributes) in cookies.items():
            words = {attribute.partition("=")[0] for attribute in attributes}
            assert {"Path=/", "Secure"} <= attributes
            assert words & {"Domain", "Expires"} == set()
            assert ("HttpOnly" in words) == (not name.endswith("csrf"))
            assert ("Max-Age" in words) == name.endswith("device")

    async def test_tells_token_the_mode_and_the_device(self, world: World) -> None:
        """Earlier cookies of a session mean nothing, neither do a client's own headers."""
        handing_over(world, SID)
        ann = Browser(world)
        headers = {**IN_BROWSER, "Gatehouse-Device": "other", "Gatehouse-Refresh-Token": "x"}
        await ann.ask("POST", LOGIN, json=CREDENTIALS, headers=headers)
        seen = world.token.seen[0]
        assert seen.header("gatehouse-mode") == "browser"
        assert seen.header("gatehouse-device") == "gh_dt_device"
        assert seen.header("gatehouse-refresh-token") is None
        assert seen.assertion is not None
        assert (seen.assertion.principal, seen.assertion.proven_sid) == (None, None)

    async def test_replaces_whatever_was_there_before(self, world: World) -> None:
        """Set by an attacker, of another user, or of the session before: all are overwritten."""
        handing_over(world, SID)
        ann = Browser(world)
        answer = await ann.ask("POST", LOGIN, json=CREDENTIALS, headers=IN_BROWSER)
        for kind, value in ann.cookies.items():
            assert set_cookies(answer)[f"gatehouse-{kind}"][0] not in ("", value)

    async def test_without_the_header_is_api_mode(self, world: World) -> None:
        """Whatever cookies come along; none is set, and token is told of none."""
        ann = Browser(world)
        answer = await ann.ask("POST", LOGIN, json=CREDENTIALS)
        assert answer.status == 200
        assert set_cookies(answer) == {}
        assert world.token.seen[0].header("gatehouse-mode") is None
        assert world.token.seen[0].header("gatehouse-device") is None

    @pytest.mark.parametrize("mode", ["api", "Browser", "", "browser,browser", "1"])
    async def test_knows_no_other_mode(self, world: World, mode: str) -> None:
        """400 `unknown_mode`."""
        answer = await log_in(world, **{"Gatehouse-Mode": mode})
        assert (answer.status, answer.document["code"]) == (400, "unknown_mode")
        assert world.token.seen == []

    async def test_does_not_mix_the_modes(self, world: World) -> None:
        """400 `mixed_modes` with an Authorization header."""
        answer = await log_in(world, Authorization="Bearer x")
        assert (answer.status, answer.document["code"]) == (400, "mixed_modes")

    async def test_refuses_two_devices(self, world: World) -> None:
        """400 `ambiguous_cookies`."""
        answer = await log_in(world, Cookie="gatehouse-device=a; gatehouse-device=b")
        assert (answer.status, answer.document["code"]) == (400, "ambiguous_cookies")

    @pytest.mark.parametrize(
        "site",
        [
            {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
            {"Sec-Fetch-Site": "same-site", "Origin": "http://sub.localhost:8000"},
            {"Origin": "null"},
            {},
        ],
    )
    async def test_is_refused_to_other_origins(self, world: World, site: dict[str, str]) -> None:
        """Nobody is logged in to an account that is not theirs."""
        headers = {"Gatehouse-Mode": "browser", **site}
        answer = await world.ask("POST", LOGIN, json=CREDENTIALS, headers=headers)
        assert (answer.status, answer.document["code"]) == (403, "cross_origin_refused")
        assert world.token.seen == []

    async def test_that_fails_sets_no_cookie(self, world: World) -> None:
        """The session before, if there is one, goes on."""
        world.token.status = 401
        assert set_cookies(await log_in(world)) == {}

    async def test_never_lets_tokens_out_in_the_body(self, world: World) -> None:
        """A token service that knows no browser mode is answered for with 502."""
        world.token.answer = b'{"access_token":"secret","refresh_token":"gh_rt_secret"}'
        answer = await log_in(world)
        assert (answer.status, answer.document["code"]) == (502, "bad_gateway")
        assert b"secret" not in answer.body


class TestRefresh:
    """POST /api/v1/auth/refresh by cookie."""

    async def test_hands_the_cookies_to_token(self, world: World) -> None:
        """With the session that was proven; an expired access cookie does not matter."""
        ann = Browser(world)
        ann.cookies["access"] = "long.gone.x"
        handing_over(world, ann.subject.sid)
        answer = await ann.ask("POST", REFRESH)
        seen = world.token.seen[0]
        assert answer.status == 200
        assert seen.header("gatehouse-mode") == "browser"
        assert seen.header("gatehouse-refresh-token") == ann.cookies["refresh"]
        assert seen.header("gatehouse-device") == "gh_dt_device"
        assert seen.header("authorization") is None
        assert seen.assertion is not None
        assert seen.assertion.proven_sid == ann.subject.sid

    async def test_sets_the_new_tokens_and_keeps_the_csrf_token(self, world: World) -> None:
        """Other tabs hold a copy of it."""
        ann = Browser(world)
        handing_over(world, ann.subject.sid, device=None)
        cookies = set_cookies(await ann.ask("POST", REFRESH))
        assert {name: value for name, (value, _) in cookies.items()} == {
            "gatehouse-access": "new.access.token",
            "gatehouse-refresh": "gh_rt_new",
        }

    async def test_that_is_over_takes_the_cookies_back(self, world: World) -> None:
        """All but the device's."""
        world.token.status = 401
        world.token.headers = [(b"gatehouse-session", b"over")]
        answer = await Browser(world).ask("POST", REFRESH)
        cookies = set_cookies(answer)
        assert answer.status == 401
        assert set(cookies) == {"gatehouse-access", "gatehouse-refresh", "gatehouse-csrf"}
        assert all(value == "" and "Max-Age=0" in rest for value, rest in cookies.values())
        assert "Clear-Site-Data" not in answer.headers

    @pytest.mark.parametrize("status", [400, 401, 403, 429, 500, 503])
    async def test_that_fails_otherwise_leaves_them(self, world: World, status: int) -> None:
        """A part that is away, or does not know this gateway, logs nobody out."""
        world.token.status = status
        answer = await Browser(world).ask("POST", REFRESH)
        assert (answer.status, set_cookies(answer)) == (status, {})

    async def test_in_api_mode_sets_none(self, world: World) -> None:
        """Whatever token says."""
        world.token.status = 401
        world.token.headers = [(b"gatehouse-session", b"over")]
        answer = await world.ask("POST", REFRESH, json={"refresh_token": "x"})
        assert set_cookies(answer) == {}
        assert "Gatehouse-Session" not in answer.headers


class TestLogout:
    """POST /api/v1/auth/logout by cookie."""

    async def test_takes_the_cookies_back_and_clears_the_site(self, world: World) -> None:
        """The device stays known: `Clear-Site-Data` does not name cookies."""
        world.token.headers = [(b"gatehouse-session", b"over")]
        ann = Browser(world)
        answer = await ann.ask("POST", LOGOUT)
        seen = world.token.seen[0]
        assert answer.status == 200
        assert set(set_cookies(answer)) == {
            "gatehouse-access",
            "gatehouse-refresh",
            "gatehouse-csrf",
        }
        assert answer.headers["Clear-Site-Data"] == '"cache", "storage"'
        assert seen.header("gatehouse-refresh-token") == ann.cookies["refresh"]
        assert seen.header("authorization") is None
        assert seen.assertion is not None
        assert seen.assertion.principal is not None
        assert seen.assertion.principal.session_id == ann.subject.sid

    @pytest.mark.parametrize("access", ["garbage", "e30.e30.e30", None])
    async def test_works_with_cookies_that_prove_nothing(
        self, world: World, access: str | None
    ) -> None:
        """Token is told of nobody, and asked all the same: the cookies have to go."""
        world.token.headers = [(b"gatehouse-session", b"over")]
        ann = Browser(world)
        if access is None:
            del ann.cookies["access"]
        else:
            ann.cookies["access"] = access
        answer = await ann.ask("POST", LOGOUT)
        assert answer.status == 200
        assert len(set_cookies(answer)) == 3
        assert world.token.seen[0].assertion is not None
        assert world.token.seen[0].assertion.principal is None


class TestProducts:
    """Upstreams of operators."""

    async def test_cannot_begin_or_end_a_session(self, world: World) -> None:
        """What only token may say is taken out, and no cookie is made of it."""
        handing_over(world, SID)
        world.shop.headers = [
            *world.token.headers,
            (b"set-cookie", b"gatehouse-access=planted; Path=/"),
            (b"set-cookie", b"__Host-gatehouse-csrf=planted; Path=/; Secure"),
            (b"set-cookie", b"basket=1"),
        ]
        answer = await Browser(world).ask("POST", "/shop/x")
        assert set(set_cookies(answer)) == {"basket"}
        assert not [name for name in answer.headers if name.lower().startswith("gatehouse")]


class TestTheCsrfEndpoint:
    """GET /api/v1/auth/csrf."""

    async def test_gives_the_token_that_is_there(self, world: World) -> None:
        """So that a page that cannot read the cookie has it too; no tab's copy goes stale."""
        ann = Browser(world)
        answer = await ann.ask("GET", TOKEN)
        assert answer.document == {"csrf_token": ann.cookies["csrf"]}
        assert set_cookies(answer) == {}
        assert answer.headers["Cache-Control"] == "no-store"

    @pytest.mark.parametrize("minutes", [15, -5])
    @pytest.mark.parametrize("lost", ["lost", "garbage", "of another session"])
    async def test_gives_a_new_one_for_the_session(
        self, world: World, minutes: int, lost: str
    ) -> None:
        """Of the access cookie, also when that has expired: the refresh needs it."""
        ann = Browser(world)
        ann.cookies["access"] = access_token(
            world.token.keys[-1], ann.subject, lifetime=timedelta(minutes=minutes)
        )
        ann.cookies["csrf"] = {"lost": "", "garbage": "x"}.get(lost, CSRF.issue(uuid4()))
        answer = await ann.ask("GET", TOKEN)
        value, attributes = set_cookies(answer)["gatehouse-csrf"]
        assert answer.document == {"csrf_token": value}
        assert CSRF.read(value) == ann.subject.sid
        assert attributes == {"Path=/", "SameSite=Strict"}

    async def test_keeps_the_session_where_only_the_csrf_cookie_tells(self, world: World) -> None:
        """The refresh cookie is a closed book here."""
        ann = Browser(world)
        ann.cookies["access"] = "of.another.issuer"
        assert (await ann.ask("GET", TOKEN)).document == {"csrf_token": ann.cookies["csrf"]}

    async def test_gives_strangers_one_that_is_good_for_nothing(self, world: World) -> None:
        """It is of a session that there is not; a login replaces it."""
        anonymous = await world.ask("GET", TOKEN)
        token = anonymous.document["csrf_token"]
        ann = Browser(world)
        ann.cookies["csrf"] = ann.csrf = token
        refused = await ann.ask("PATCH", "/api/v1/users/me")
        assert anonymous.status == 200
        assert set_cookies(anonymous)["gatehouse-csrf"][0] == token
        assert refused.document["code"] == "csrf_token_of_another_session"

    @pytest.mark.parametrize(
        "site",
        [
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "garbage"},
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
        ],
    )
    async def test_is_refused_to_pages_of_other_origins(
        self, world: World, site: dict[str, str]
    ) -> None:
        """They could else have it replace a good cookie, also where Fetch Metadata is unknown."""
        answer = await Browser(world).ask("GET", TOKEN, site=site)
        assert (answer.status, answer.document["code"]) == (403, "cross_origin_refused")
        assert set_cookies(answer) == {}

    async def test_can_be_read_by_listed_origins(self, tmp_path: Path) -> None:
        """A page on a sibling sub-domain cannot read the cookie."""
        listed = "https://app.example"
        async with start_world(tmp_path, cors_allowed_origins=listed) as world:
            site = {"Sec-Fetch-Site": "same-site", "Origin": listed}
            answer = await Browser(world).ask("GET", TOKEN, site=site)
        assert answer.status == 200
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"

    async def test_is_counted_by_address(self, tmp_path: Path) -> None:
        """With the other calls that need no login."""
        async with start_world(tmp_path, rate_limit_per_ip="2/minute") as world:
            statuses = [(await world.ask("GET", TOKEN)).status for _ in range(3)]
        assert statuses == [200, 200, 429]

    async def test_answers_head_without_a_body(self, world: World) -> None:
        """As every GET."""
        answer = await Browser(world, Subject()).ask("HEAD", TOKEN)
        assert (answer.status, answer.body) == (200, b"")
