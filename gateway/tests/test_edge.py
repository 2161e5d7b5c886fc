"""Who may pass the gateway, and what the others are told."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from chassis.testing import eventually
from gateway.tests.signing import SigningKey, Subject, access_token
from gateway.tests.world import World
from gateway.tests.world import world as start_world

ME = "/api/v1/users/me"
LOGOUT = "/api/v1/auth/logout"
PREFLIGHT = {"Access-Control-Request-Method": "POST"}


class TestUsers:
    """Routes for users."""

    async def test_pass_with_a_valid_token(self, world: World) -> None:
        """The service learns from the assertion who calls, and never sees the token."""
        ann = Subject(roles=("user", "moderator"), ver=7)
        answer = await world.ask("GET", ME, headers=world.bearer(ann))
        seen = world.identity.seen[0]
        assert answer.status == 200
        assert seen.header("authorization") is None
        assert seen.assertion is not None
        assert seen.assertion.principal is not None
        assert seen.assertion.principal.user_id == ann.sub
        assert seen.assertion.principal.session_id == ann.sid
        assert seen.assertion.principal.version == 7
        assert seen.assertion.client_address == "127.0.0.1"
        assert seen.assertion.request_id == answer.headers["X-Request-Id"]

    async def test_need_a_token(self, world: World) -> None:
        """Without one: 401 `unauthenticated`, and RFC 6750 §3 says how."""
        answer = await world.ask("GET", ME)
        assert (answer.status, answer.document["code"]) == (401, "unauthenticated")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.headers["Cache-Control"] == "no-store"
        assert world.identity.seen == []

    @pytest.mark.parametrize(
        "authorization",
        [
            "Bearer",
            "Bearer ",
            "Bearer  a b",
            "Bearer a,b",
            "Bearer gh_rt_0123456789",
            "bearer e30.e30.e30",
            "Bearer " + "a" * 9000,
            "Bearer a.b.c",
        ],
    )
    async def test_refuse_what_is_no_token_of_ours(self, world: World, authorization: str) -> None:
        """401 `invalid_token`, whatever it is."""
        answer = await world.ask("GET", ME, headers={"Authorization": authorization})
        assert (answer.status, answer.document["code"]) == (401, "invalid_token")
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]

    @pytest.mark.parametrize("authorization", ["Basic dTpw", "Token x", "Bearertoken x"])
    async def test_do_not_know_other_schemes(self, world: World, authorization: str) -> None:
        """They count as no token at all."""
        answer = await world.ask("GET", ME, headers={"Authorization": authorization})
        assert (answer.status, answer.document["code"]) == (401, "unauthenticated")

    async def test_refuse_a_foreign_signature_issuer_and_audience(self, world: World) -> None:
        """Each of them alone is enough."""
        stranger = access_token(SigningKey("first"), Subject())
        tokens = [{"Authorization": f"Bearer {stranger}"}]
        tokens += [world.bearer(Subject(), iss="http://evil"), world.bearer(Subject(), aud="other")]
        answers = [await world.ask("GET", ME, headers=headers) for headers in tokens]
        assert [answer.document["code"] for answer in answers] == ["invalid_token"] * 3

    async def test_tell_that_a_token_has_expired(self, world: World) -> None:
        """The client then knows to refresh."""
        old = world.bearer(Subject(), lifetime=timedelta(minutes=-5))
        answer = await world.ask("GET", ME, headers=old)
        assert (answer.status, answer.document["code"]) == (401, "token_expired")


class TestRoles:
    """Routes for roles."""

    async def test_let_pass_who_has_one_of_them(self, world: World) -> None:
        """A moderator reads users."""
        headers = world.bearer(Subject(roles=("moderator",)))
        assert (await world.ask("GET", "/api/v1/admin/users", headers=headers)).status == 200

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/api/v1/admin/users"),
            ("DELETE", "/api/v1/admin/users/7"),
            ("GET", "/api/v1/admin/audit"),
            ("GET", "/api/v1/admin/messages"),
            ("POST", "/api/v1/admin/ip-blocks"),
            ("GET", "/shop/orders/%61ll"),
        ],
    )
    async def test_refuse_who_has_none(self, world: World, method: str, path: str) -> None:
        """403 `forbidden`, and the service never hears of it."""
        answer = await world.ask(method, path, headers=world.bearer(Subject()))
        assert (answer.status, answer.document["code"]) == (403, "forbidden")
        assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
        assert world.identity.seen + world.audit.seen + world.notify.seen + world.shop.seen == []

    async def test_differ_by_method(self, world: World) -> None:
        """A moderator does not delete."""
        headers = world.bearer(Subject(roles=("moderator",)))
        answer = await world.ask("DELETE", "/api/v1/admin/users/7", headers=headers)
        assert answer.status == 403


class TestPublic:
    """Routes for anyone."""

    async def test_ignore_a_token(self, world: World) -> None:
        """Not even a broken one is looked at, and the service gets none."""
        headers = {"Authorization": "Bearer garbage"}
        answer = await world.ask("POST", "/api/v1/auth/login", json={}, headers=headers)
        seen = world.token.seen[0]
        assert answer.status == 200
        assert seen.assertion is not None
        assert seen.assertion.principal is None
        assert seen.header("authorization") is None


class TestLogout:
    """The route where a token is optional."""

    async def test_passes_without_a_token(self, world: World) -> None:
        """The refresh token in the body may do."""
        assert (await world.ask("POST", LOGOUT, json={})).status == 200
        assert world.token.seen[0].assertion is not None
        assert world.token.seen[0].assertion.principal is None

    async def test_passes_with_a_token_of_an_ended_session(self, world: World) -> None:
        """It still says whose session it was: ending it twice is no error."""
        ended = Subject()
        world.token.revoke("sid", str(ended.sid), in_minutes(5))
        polled = world.token.polled
        await eventually(lambda: world.token.polled > polled + 2)
        answer = await world.ask("POST", LOGOUT, json={}, headers=world.bearer(ended))
        assertion = world.token.seen[0].assertion
        assert answer.status == 200
        assert assertion is not None
        assert assertion.principal is not None
        assert assertion.principal.session_id == ended.sid

    async def test_passes_with_an_expired_token_that_proves_nothing(self, world: World) -> None:
        """Token sees that there was one, and ends nothing because of it."""
        expired = world.bearer(Subject(), lifetime=timedelta(minutes=-5))
        answer = await world.ask("POST", LOGOUT, json={}, headers=expired)
        seen = world.token.seen[0]
        assert answer.status == 200
        assert seen.assertion is not None
        assert seen.assertion.principal is None
        assert seen.header("authorization") == expired["Authorization"]

    async def test_refuses_garbage(self, world: World) -> None:
        """What was never ours is not a credential."""
        headers = {"Authorization": "Bearer e30.e30.e30"}
        answer = await world.ask("POST", LOGOUT, json={}, headers=headers)
        assert (answer.status, answer.document["code"]) == (401, "invalid_token")


class TestLimits:
    """Limits at the edge, by the specification's defaults."""

    async def test_refuse_the_sixth_login_of_a_minute(self, tmp_path: Path) -> None:
        """429 with Retry-After and the limit's state."""
        async with start_world(tmp_path, rate_limit_login="5/minute") as world:
            answers = [await world.ask("POST", "/api/v1/auth/login", json={}) for _ in range(6)]
        assert [answer.status for answer in answers] == [200] * 5 + [429]
        refused = answers[-1]
        assert refused.document["code"] == "rate_limited"
        assert refused.headers["RateLimit-Policy"].startswith('"login";q=5;w=60')
        assert refused.headers["RateLimit"].startswith('"login";r=0;t=')
        assert 0 < int(refused.headers["Retry-After"]) <= 12
        assert answers[0].headers["RateLimit"].startswith('"login";r=4;t=')

    async def test_count_the_address_across_routes(self, tmp_path: Path) -> None:
        """Whoever alternates between endpoints meets the limit per address."""
        paths = ("/api/v1/auth/login", "/api/v1/auth/register", "/api/v1/auth/email/verify")
        async with start_world(tmp_path, rate_limit_per_ip="4/minute") as world:
            answers = [await world.ask("POST", paths[n % 3], json={}) for n in range(5)]
        assert [answer.status for answer in answers] == [200] * 4 + [429]

    async def test_count_users_for_themselves(self, tmp_path: Path) -> None:
        """Two users behind one address do not share an allowance."""
        ann, ben = Subject(), Subject()
        async with start_world(tmp_path, rate_limit_per_user="2/minute") as world:
            path = "/api/v1/auth/password-change"
            anns = [await world.ask("POST", path, headers=world.bearer(ann)) for _ in range(3)]
            bens = [await world.ask("POST", path, headers=world.bearer(ben)) for _ in range(2)]
        assert [answer.status for answer in anns] == [200, 200, 429]
        assert [answer.status for answer in bens] == [200, 200]

    async def test_count_a_route_of_a_product(self, world: World) -> None:
        """`limits = ["5/minute"]` in the operator's file."""
        headers = world.bearer(Subject())
        answers = [await world.ask("GET", f"/shop/orders/{n}", headers=headers) for n in range(6)]
        assert [answer.status for answer in answers] == [200] * 5 + [429]

    async def test_follow_the_client_behind_a_trusted_proxy(self, tmp_path: Path) -> None:
        """Each client has its own allowance, and cannot choose another's."""
        path = "/api/v1/auth/login"
        async with start_world(
            tmp_path, rate_limit_login="1/minute", trusted_proxies="127.0.0.1/32"
        ) as world:
            answers = [
                await world.ask("POST", path, headers={"X-Forwarded-For": client})
                for client in ("1.1.1.1", "1.1.1.2", "6.6.6.6, 1.1.1.1", "7.7.7.7, 1.1.1.2")
            ]
        assert [answer.status for answer in answers] == [200, 200, 429, 429]

    async def test_ignore_forwarding_headers_of_strangers(self, tmp_path: Path) -> None:
        """By default the TCP peer is the client."""
        async with start_world(tmp_path, rate_limit_login="1/minute") as world:
            answers = [
                await world.ask(
                    "POST", "/api/v1/auth/login", headers={"X-Forwarded-For": f"1.1.1.{n}"}
                )
                for n in range(2)
            ]
        assert [answer.status for answer in answers] == [200, 429]


class TestUnlisted:
    """What is not there."""

    async def test_is_404(self, world: World) -> None:
        """Also what the services have, but nobody listed."""
        paths = ("/nope", "/internal/v1/revocations", "/metrics", "/health/ready", "/api/v1/auth/")
        answers = [await world.ask("GET", path) for path in paths]
        assert [answer.status for answer in answers] == [404] * 5
        assert all(answer.document["code"] == "not_found" for answer in answers)

    async def test_is_405_for_a_wrong_method(self, world: World) -> None:
        """With the methods that would do, before any token is asked for."""
        answer = await world.ask("PUT", ME)
        assert (answer.status, answer.headers["Allow"]) == (405, "DELETE, GET, HEAD, PATCH")


class TestHost:
    """The Host header."""

    async def test_must_be_ours_under_https(self, tmp_path: Path) -> None:
        """421 for any other: nothing is built from a stranger's name."""
        async with start_world(
            tmp_path, public_base_url="https://auth.example", allowed_hosts="shop.example"
        ) as world:
            hosts = ("auth.example", "AUTH.example", "shop.example", "evil.example", "127.0.0.1")
            answers = [await world.ask("GET", "/verify-email", headers={"Host": h}) for h in hosts]
        assert [answer.status for answer in answers] == [200, 200, 200, 421, 421]


class TestCrossOrigin:
    """CORS by exact origins."""

    async def test_is_off_by_default(self, world: World) -> None:
        """No origin may read an answer."""
        headers = {"Origin": "https://app.example", **PREFLIGHT}
        preflight = await world.ask("OPTIONS", "/api/v1/auth/login", headers=headers)
        answer = await world.ask("GET", "/api/v1/auth/password-policy", headers=headers)
        assert preflight.status == 405
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]

    async def test_lets_the_listed_origins_in(self, tmp_path: Path) -> None:
        """Preflights are answered here; problems can be read too; credentials are not asked for."""
        origin = "https://app.example"
        async with start_world(tmp_path, cors_allowed_origins=origin) as world:
            headers = {"Origin": origin}
            preflight = await world.ask(
                "OPTIONS", "/api/v1/auth/login", headers={**headers, **PREFLIGHT}
            )
            problem = await world.ask("GET", ME, headers=headers)
        assert preflight.status == 204
        assert preflight.headers["Access-Control-Allow-Methods"] == "POST"
        assert preflight.headers["Access-Control-Allow-Origin"] == origin
        assert problem.status == 401
        assert problem.headers["Access-Control-Allow-Origin"] == origin
        assert problem.headers["Vary"] == "Origin"
        assert "Access-Control-Allow-Credentials" not in preflight.headers
        assert world.token.seen == []

    @pytest.mark.parametrize(
        "origin",
        ["null", "https://app.example.evil", "http://app.example", "https://app.example:444", "*"],
    )
    async def test_knows_no_similar_origins(self, tmp_path: Path, origin: str) -> None:
        """Equality, nothing else."""
        async with start_world(tmp_path, cors_allowed_origins="https://app.example") as world:
            answer = await world.ask("GET", ME, headers={"Origin": origin})
        assert "Access-Control-Allow-Origin" not in answer.headers


class TestRequestId:
    """The name of a request."""

    async def test_is_never_the_clients(self, world: World) -> None:
        """A stranger cannot write into our logs under a name of their choice."""
        mine = uuid4().hex
        answer = await world.ask("GET", "/nope", headers={"X-Request-Id": mine})
        assert answer.headers["X-Request-Id"] == answer.document["request_id"] != mine


def in_minutes(minutes: int) -> datetime:
    """Return a time ahead of the gateway's real clock."""
    return datetime.now(UTC) + timedelta(minutes=minutes)  # noqa: TID251 - the gateway's real clock
