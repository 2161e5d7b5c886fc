"""Who may pass the gateway, and what the others are told."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from chassis.testing import eventually
from gateway.tests.signing import SigningKey, Subject, access_token
from gateway.tests.world import World

ME = "/api/v1/users/me"
LOGOUT = "/api/v1/auth/logout"


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
