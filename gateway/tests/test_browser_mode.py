"""Browser mode at the gateway: who a request is from, and what it must prove (D14)."""

from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from gateway.tests.browsers import CSRF, Browser
from gateway.tests.signing import ISSUER, Subject, access_token
from gateway.tests.world import CSRF_KEY, Answer, World
from gateway.tests.world import world as start_world

ME, LOGOUT = "/api/v1/users/me", "/api/v1/auth/logout"
REFRESH, LOGIN = "/api/v1/auth/refresh", "/api/v1/auth/login"
UNSAFE = [
    ("PATCH", ME),
    ("DELETE", ME),
    ("POST", "/api/v1/auth/password-change"),
    ("DELETE", "/api/v1/sessions"),
    ("POST", LOGOUT),
    ("POST", REFRESH),
    ("POST", "/shop/basket"),
    ("PUT", "/shop/basket"),
    ("DELETE", "/shop/basket"),
]


def reached(world: World) -> int:
    """Return how many requests passed the gateway."""
    return sum(len(echo.seen) for echo in (world.token, world.identity, world.shop, world.audit))


def verdict(answer: Answer) -> tuple[int, str]:
    """Return status and code of a refusal."""
    return answer.status, answer.document["code"]


class TestThePrincipal:
    """The access cookie stands in for the Authorization header."""

    async def test_is_the_one_of_the_access_cookie(self, world: World) -> None:
        """Our service learns who calls, and gets neither cookies nor tokens."""
        ann = Browser(world)
        answer = await ann.ask("GET", ME)
        seen = world.identity.seen[0]
        assert answer.status == 200
        assert seen.assertion is not None
        assert seen.assertion.principal is not None
        assert seen.assertion.principal.session_id == ann.subject.sid
        assert seen.header("cookie") is None
        assert not [value for value in ann.cookies.values() if value in str(seen.headers)]

    async def test_is_shown_to_products_without_any_secret(self, world: World) -> None:
        """Their own cookies pass; CSRF has been answered here."""
        ann = Browser(world)
        ann.cookies["csrf"] += "; theme=dark; gatehouse-future=x"
        ann.csrf = ann.cookies["csrf"].split(";")[0]
        answer = await ann.ask("POST", "/shop/basket", json={})
        seen = world.shop.seen[0]
        assert answer.status == 200
        assert seen.header("x-auth-subject") == ann.subject.id
        assert seen.header("cookie") == "theme=dark"
        assert seen.header("x-csrf-token") is None
        assert not [name for name, _ in seen.headers if name.startswith("gatehouse")]

    async def test_comes_with_the_token_only_where_the_route_says_so(self, world: World) -> None:
        """`forward_token = true`: as in API mode."""
        ann = Browser(world)
        await ann.ask("GET", "/shop/raw/x")
        assert world.shop.seen[0].header("authorization") == f"Bearer {ann.cookies['access']}"

    async def test_has_roles(self, world: World) -> None:
        """403 without one, as in API mode."""
        assert verdict(await Browser(world).ask("GET", "/api/v1/admin/users")) == (403, "forbidden")
        admin = Browser(world, Subject(roles=("admin",)))
        assert (await admin.ask("GET", "/api/v1/admin/users")).status == 200

    @pytest.mark.parametrize(
        ("access", "code"),
        [
            ("garbage", "invalid_token"),
            ("e30.e30.e30", "invalid_token"),
            ("gh_rt_" + "r" * 43, "invalid_token"),
            ("", "unauthenticated"),
        ],
    )
    async def test_is_nobody_without_a_good_cookie(
        self, world: World, access: str, code: str
    ) -> None:
        """401; a refresh token is no access token."""
        ann = Browser(world)
        ann.cookies["access"] = access
        assert verdict(await ann.ask("GET", ME)) == (401, code)

    async def test_expires_and_ends_as_in_api_mode(self, world: World) -> None:
        """The page then refreshes."""
        ann = Browser(world)
        ann.cookies["access"] = access_token(
            world.token.keys[-1], ann.subject, lifetime=timedelta(minutes=-5)
        )
        assert verdict(await ann.ask("GET", ME)) == (401, "token_expired")

    async def test_is_nobody_on_public_routes(self, world: World) -> None:
        """Cookies say nothing there, and so nothing has to be proven."""
        ann = Browser(world)
        ann.csrf = None
        answers = [
            await ann.ask("POST", "/api/v1/auth/register", site={}, json={}),
            await ann.ask("POST", "/open/form", site={}, data=b"x"),
        ]
        assert [answer.status for answer in answers] == [200, 200]
        assert world.identity.seen[0].assertion is not None
        assert world.identity.seen[0].assertion.principal is None
        assert world.shop.seen[0].header("x-auth-subject") is None

    async def test_keeps_the_csrf_token_on_public_routes(self, world: World) -> None:
        """A page may send it with every request; a product's own token of that name passes."""
        ann = Browser(world)
        await ann.ask("POST", "/open/form", data=b"x")
        ann.csrf = "the.shops.own"
        await ann.ask("POST", "/open/form", data=b"x")
        shown = [seen.header("x-csrf-token") for seen in world.shop.seen]
        assert shown == [None, "the.shops.own"]

    @pytest.mark.parametrize("place", ["query", "other cookie", "body"])
    async def test_is_nobody_with_a_token_elsewhere(self, world: World, place: str) -> None:
        """Query, body and foreign cookies hold no credentials."""
        token = Browser(world).cookies["access"]
        target = f"{ME}?access_token={token}" if place == "query" else ME
        headers = {"Cookie": f"access_token={token}"} if place == "other cookie" else {}
        data = f"access_token={token}" if place == "body" else None
        answer = await world.ask("GET", target, headers=headers, data=data)
        assert verdict(answer) == (401, "unauthenticated")


class TestTheMode:
    """One or the other, never both."""

    @pytest.mark.parametrize("authorization", ["Bearer garbage", "Basic dTpw", "", "Bearer "])
    async def test_an_authorization_header_means_api_mode(
        self, world: World, authorization: str
    ) -> None:
        """Also an invalid one: the good cookies beside it are not looked at."""
        answer = await Browser(world).ask("GET", ME, headers={"Authorization": authorization})
        assert answer.status == 401
        assert world.identity.seen == []

    async def test_api_mode_needs_no_csrf_token(self, world: World) -> None:
        """Nobody can have a browser send the header; duplicate cookies do not matter either."""
        ann, bob = Subject(), Browser(world)
        twice = f"{bob.cookie()}; {bob.cookie()}"
        headers = {**world.bearer(ann), "Cookie": twice, "Origin": "https://evil.example"}
        answer = await world.ask("POST", "/shop/basket", headers=headers, json={})
        assert answer.status == 200
        assert world.shop.seen[0].header("x-auth-subject") == ann.id

    async def test_api_mode_hands_no_cookie_to_token(self, world: World) -> None:
        """And nobody but the gateway writes its headers."""
        forged = {
            "Gatehouse-Mode": "browser",
            "Gatehouse-Refresh-Token": "gh_rt_stolen",
            "Gatehouse-Access-Token": "x",
            "Gatehouse-Session": str(uuid4()),
            "Gatehouse_Mode": "browser",
        }
        headers = {**world.bearer(Subject()), "Cookie": Browser(world).cookie(), **forged}
        await world.ask("POST", LOGOUT, headers=headers, json={})
        await world.ask("POST", REFRESH, headers=forged, json={})
        names = {name.replace("_", "-") for seen in world.token.seen for name, _ in seen.headers}
        assert {name for name in names if name.startswith("gatehouse")} == {"gatehouse-assertion"}

    async def test_cookies_of_no_session_do_not_mean_browser_mode(self, world: World) -> None:
        """A device that was here before, or a CSRF token, says nothing about a session."""
        ann = Browser(world)
        del ann.cookies["access"], ann.cookies["refresh"]
        ann.csrf = None
        answer = await ann.ask("POST", REFRESH, site={}, json={"refresh_token": "gh_rt_x"})
        assert answer.status == 200
        assert world.token.seen[0].header("gatehouse-mode") is None
        assert world.token.seen[0].header("gatehouse-device") is None

    @pytest.mark.parametrize("target", [ME, "/shop/basket", LOGOUT])
    async def test_a_cookie_twice_is_refused(self, world: World, target: str) -> None:
        """400: which of them is ours cannot be told."""
        ann = Browser(world)
        ann.cookies["csrf"] += f"; gatehouse-access={ann.cookies['access']}"
        method = "POST" if target == LOGOUT else "GET"
        assert verdict(await ann.ask(method, target)) == (400, "ambiguous_cookies")
        assert reached(world) == 0


class TestTheCsrfToken:
    """Every method that may change something needs it, wherever cookies count."""

    @pytest.mark.parametrize(("method", "target"), UNSAFE)
    async def test_is_needed(self, world: World, method: str, target: str) -> None:
        """403 without it, and the service never hears of the request."""
        ann = Browser(world)
        ann.csrf = None
        assert verdict(await ann.ask(method, target, json={})) == (403, "csrf_token_missing")
        assert reached(world) == 0

    @pytest.mark.parametrize(("method", "target"), UNSAFE[:4] + UNSAFE[6:])
    async def test_lets_pass(self, world: World, method: str, target: str) -> None:
        """Our services learn the session it proves."""
        ann = Browser(world)
        answer = await ann.ask(method, target, json={})
        assert answer.status == 200
        (seen,) = world.identity.seen + world.token.seen + world.shop.seen
        assert seen.assertion is None or seen.assertion.proven_sid == ann.subject.sid

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    async def test_is_not_needed_to_read(self, world: World, method: str) -> None:
        """Nothing is changed, nothing is proven."""
        ann = Browser(world)
        ann.csrf = None
        answer = await ann.ask(method, ME, site={"Sec-Fetch-Site": "cross-site"})
        assert answer.status == 200
        assert world.identity.seen[0].assertion is not None
        assert world.identity.seen[0].assertion.proven_sid is None

    async def test_is_refused_when_it_is_not_the_cookies(self, world: World) -> None:
        """Each authentic, even of one session; truncated; prolonged; twice."""
        ann = Browser(world)
        good = ann.cookies["csrf"]
        for given in (CSRF.issue(ann.subject.sid), good[:-1], good + "A", f"{good}, {good}", "x"):
            ann.csrf = given
            assert verdict(await ann.ask("PATCH", ME)) == (403, "csrf_token_invalid")
        assert reached(world) == 0

    @pytest.mark.parametrize("pair", ["", ".", "..", "x.y.z", f"{uuid4()}.{'A' * 43}.{'A' * 43}"])
    async def test_is_refused_when_it_is_none_of_ours(self, world: World, pair: str) -> None:
        """Equal on both sides is not enough: a sibling sub-domain can choose both."""
        ann = Browser(world)
        ann.cookies["csrf"] = ann.csrf = pair
        answer = await ann.ask("PATCH", ME)
        assert answer.status == 403
        assert answer.document["code"] in {"csrf_token_invalid", "csrf_token_missing"}

    @pytest.mark.parametrize("missing", ["cookie", "header"])
    async def test_is_needed_twice(self, world: World, missing: str) -> None:
        """In the cookie and in the header."""
        ann = Browser(world)
        if missing == "cookie":
            del ann.cookies["csrf"]
        else:
            ann.csrf = ""
        assert verdict(await ann.ask("PATCH", ME)) == (403, "csrf_token_missing")

    @pytest.mark.parametrize("whose", ["another session", "before the login", "after a logout"])
    async def test_of_another_session_is_refused(self, world: World, whose: str) -> None:
        """A tossed pair of the attacker's own login is authentic, and of no use."""
        ann = Browser(world)
        other = uuid4() if whose == "another session" else Subject(sub=ann.subject.sub).sid
        ann.cookies["csrf"] = ann.csrf = CSRF.issue(other)
        assert verdict(await ann.ask("PATCH", ME)) == (403, "csrf_token_of_another_session")
        assert reached(world) == 0

    async def test_in_the_query_or_the_body_is_none(self, world: World) -> None:
        """Only a script can write the header."""
        ann = Browser(world)
        token, ann.csrf = ann.csrf, None
        answer = await ann.ask("PATCH", f"{ME}?csrf_token={token}", json={"csrf_token": token})
        assert verdict(answer) == (403, "csrf_token_missing")

    async def test_of_an_older_key_is_good_while_the_key_is_listed(self, tmp_path: Path) -> None:
        """Keys are rotated without logging anybody out."""
        keys = (b"n" * 32, CSRF_KEY)
        async with start_world(tmp_path, csrf_keys=keys) as world:
            assert (await Browser(world).ask("PATCH", ME, json={})).status == 200
        async with start_world(tmp_path, csrf_keys=keys[:1]) as world:
            assert (await Browser(world).ask("PATCH", ME, json={})).status == 403


class TestTheOrigin:
    """A good token does not help a page that may not ask."""

    @pytest.mark.parametrize(
        "site",
        [
            {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
            {"Sec-Fetch-Site": "same-site", "Origin": "http://app.localhost:8000"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "garbage"},
            {"Sec-Fetch-Site": "same-origin", "Origin": "null"},
            {"Origin": "null"},
            {"Origin": ISSUER + ".evil.example"},
            {"Referer": "https://evil.example/"},
            {},
        ],
    )
    @pytest.mark.parametrize(("method", "target"), [UNSAFE[0], *UNSAFE[4:7]])
    async def test_is_refused(
        self, world: World, site: dict[str, str], method: str, target: str
    ) -> None:
        """403, and no effect."""
        answer = await Browser(world).ask(method, target, site=site, json={})
        assert verdict(answer) == (403, "cross_origin_refused")
        assert {"Cookie", "Origin", "Sec-Fetch-Site"} <= set(answer.headers["Vary"].split(", "))
        assert reached(world) == 0

    @pytest.mark.parametrize(
        "site",
        [
            {"Sec-Fetch-Site": "same-origin"},
            {"Sec-Fetch-Site": "none"},
            {"Origin": ISSUER},
            {"Referer": ISSUER + "/page"},
        ],
    )
    async def test_is_admitted(self, world: World, site: dict[str, str]) -> None:
        """Ours, by whichever header the browser knows."""
        assert (await Browser(world).ask("PATCH", ME, site=site, json={})).status == 200

    async def test_may_be_one_of_the_listed(self, tmp_path: Path) -> None:
        """A page of CORS_ALLOWED_ORIGINS on the same site; its neighbours may not."""
        listed = "https://app.auth.example"
        site = {"Sec-Fetch-Site": "same-site", "Origin": listed}
        async with start_world(tmp_path, cors_allowed_origins=listed) as world:
            answer = await Browser(world).ask("PATCH", ME, site=site, json={})
            other = await Browser(world).ask(
                "PATCH", ME, site={**site, "Origin": "https://x.auth.example"}, json={}
            )
        assert answer.status == 200
        assert answer.headers["Access-Control-Allow-Origin"] == listed
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"
        assert other.status == 403

    async def test_is_not_widened_by_a_product(self, tmp_path: Path) -> None:
        """What our cookies open, pages of unlisted origins cannot read."""
        listed = "https://app.auth.example"
        async with start_world(tmp_path, cors_allowed_origins=listed) as world:
            world.shop.headers = [(b"access-control-allow-credentials", b"true")]
            ann = Browser(world)
            stranger = await ann.ask("GET", "/shop/x", site={"Origin": "https://x.auth.example"})
            trusted = await ann.ask("GET", "/shop/x", site={"Origin": listed})
        assert "Access-Control-Allow-Credentials" not in stranger.headers
        assert trusted.headers["Access-Control-Allow-Credentials"] == "true"


class TestUnderHttps:
    """Names with `__Host-`, and no others."""

    async def test_the_plain_names_are_never_read(self, tmp_path: Path) -> None:
        """They could have been set by whoever spoke http to the host."""
        base = "https://auth.example"
        site = {"Sec-Fetch-Site": "same-origin", "Host": "auth.example"}
        async with start_world(tmp_path, public_base_url=base) as world:
            plain = Browser(world, issuer=base)
            bound = Browser(world, issuer=base, prefix="__Host-gatehouse-")
            refused = await plain.ask("GET", ME, site=site)
            passed = await bound.ask("PATCH", ME, site=site, json={})
        assert verdict(refused) == (401, "unauthenticated")
        assert passed.status == 200


class TestLogs:
    """What is written down of all this."""

    async def test_a_refusal_has_its_reason_and_no_cookie(
        self,
        world: World,
        capsys: pytest.CaptureFixture[str],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """The code is the reason in the log line and the label of the metric."""
        caplog.set_level("DEBUG")
        ann = Browser(world)
        ann.csrf = f"{uuid4()}.{'A' * 43}.{'A' * 43}"
        await ann.ask("PATCH", ME)
        await ann.ask("PATCH", ME, site={"Sec-Fetch-Site": "cross-site"})
        # Where the line goes depends on whether an earlier test has set logging up.
        text = capsys.readouterr().out + caplog.text
        metrics, _ = world.gateway.metrics.exposition()
        for code in ("csrf_token_invalid", "cross_origin_refused"):
            assert code in text
            assert f'gatehouse_problems_total{{code="{code}"}} 1.0' in metrics.decode()
        for secret in (*ann.cookies.values(), ann.csrf):
            assert secret not in text

    async def test_no_answer_echoes_a_cookie(self, world: World) -> None:
        """Neither refusals nor errors."""
        ann = Browser(world)
        ann.csrf = "x"
        answers = [
            await ann.ask("PATCH", ME),
            await ann.ask("GET", "/nope"),
            await ann.ask("GET", "/api/v1/admin/users"),
            await ann.ask("GET", "/api/v1/auth/csrf?" + ann.cookies["access"]),
        ]
        shown = "".join(str(a.headers) + a.body.decode() for a in answers)
        for kind in ("access", "refresh", "device"):
            assert ann.cookies[kind] not in shown
