"""Bad input at every endpoint: a problem with a code, never a 500, nothing stored."""

from typing import Any

import pytest

from chassis.testing.servers import PostgresServer
from services.token.tests.kit import World

LOGIN, REFRESH, LOGOUT = (f"/api/v1/auth/{name}" for name in ("login", "refresh", "logout"))
CHANGES = "/internal/v1/subject-changes"
GOOD: dict[str, dict[str, Any]] = {
    LOGIN: {"username": "ada", "password": "x"},
    REFRESH: {"refresh_token": "x"},
    LOGOUT: {"refresh_token": "x"},
}
BODIES = (LOGIN, REFRESH, LOGOUT)
ROUTES = (
    ("POST", LOGIN),
    ("POST", REFRESH),
    ("POST", LOGOUT),
    ("GET", "/api/v1/sessions"),
    ("DELETE", "/api/v1/sessions/x"),
    ("DELETE", "/api/v1/admin/users/x/sessions"),
    ("GET", "/.well-known/jwks.json"),
    ("GET", "/.well-known/oauth-authorization-server"),
    ("POST", "/oauth2/introspect"),
    ("POST", "/oauth2/revoke"),
    ("GET", "/internal/v1/revocations"),
    ("POST", CHANGES),
)


@pytest.fixture
def postgres_server(postgres: PostgresServer) -> PostgresServer:
    """Run on one PostgreSQL: nothing here reaches it."""
    return postgres


async def post(world: World, path: str, content: bytes, **headers: str) -> tuple[int, str]:
    """Send these bytes; return status and code."""
    answer = await world.client.send("POST", path, content=content, headers=headers)
    assert answer.headers["content-type"].startswith("application/problem+json")
    return answer.status_code, answer.json()["code"]


@pytest.mark.parametrize("path", BODIES)
class TestBodies:
    """What is no JSON object of the right shape."""

    @pytest.mark.parametrize(
        "content",
        [
            b"{",
            b"[]",
            b"null",
            b'"x"',
            b"\xff\xfe",
            b'{"a": NaN}',
            b'{"refresh_token": "x", "refresh_token": "y"}',
            b"[" * 50_000,
        ],
    )
    async def test_malformed(self, world: World, path: str, content: bytes) -> None:
        """400, whatever the endpoint."""
        assert await post(world, path, content) == (400, "malformed_body")

    async def test_media_type_and_size(self, world: World, path: str) -> None:
        """415 for another type, 413 above 64 KiB."""
        form = {"content-type": "application/x-www-form-urlencoded"}
        large = b'{"x": "' + b"a" * 66_000 + b'"}'

        assert await post(world, path, b"a=b", **form) == (415, "unsupported_media_type")
        assert await post(world, path, large) == (413, "payload_too_large")

    @pytest.mark.parametrize("value", [1, True, ["x"], {"a": 1}, 1.5])
    async def test_wrong_types(self, world: World, path: str, value: object) -> None:
        """400 with a pointer to each field."""
        body = dict.fromkeys(GOOD[path], value)

        answer = await world.client.send("POST", path, body)

        pointers = {error["pointer"] for error in answer.json()["errors"]}
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")
        assert pointers == {f"/{name}" for name in GOOD[path]}

    @pytest.mark.parametrize("text", ["a\u0000b", "a\nb", "\x7f", "\x1b[31m"])
    async def test_control_characters(self, world: World, path: str, text: str) -> None:
        """Refused in every field, before anything is asked."""
        answer = await world.client.send("POST", path, dict.fromkeys(GOOD[path], text))

        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")
        assert world.identity.requests == []

    async def test_unknown_fields(self, world: World, path: str) -> None:
        """Nobody sets what is not his to set."""
        body = {**GOOD[path], "roles": ["admin"]}

        answer = await world.client.send("POST", path, body)

        (error,) = answer.json()["errors"]
        assert (error["pointer"], error["code"]) == ("/roles", "unknown_field")

    async def test_values_are_not_repeated(self, world: World, path: str) -> None:
        """What was sent may be a secret."""
        answer = await world.client.send("POST", path, {"Tr0ub4dor&3": "s3cr3t-value", "x": 1})

        assert "s3cr3t" not in answer.text


class TestMissingFields:
    """What must be there."""

    @pytest.mark.parametrize(
        ("path", "missing"),
        [(LOGIN, {"/username", "/password"}), (REFRESH, {"/refresh_token"})],
    )
    async def test_are_named(self, world: World, path: str, missing: set[str]) -> None:
        """One pointer each."""
        answer = await world.client.send("POST", path, {})

        errors = {error["pointer"]: error["code"] for error in answer.json()["errors"]}
        assert errors == dict.fromkeys(missing, "missing")

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({"username": "", "password": "x"}, "/username"),
            ({"username": "u" * 321, "password": "x"}, "/username"),
            ({"username": "u", "password": ""}, "/password"),
            ({"username": "u", "password": "p" * 1025}, "/password"),
            ({"username": "u", "password": "p", "device_token": "d" * 1025}, "/device_token"),
        ],
    )
    async def test_bounds_of_a_login(
        self, world: World, body: dict[str, str], pointer: str
    ) -> None:
        """Nothing empty, nothing endless reaches identity."""
        answer = await world.client.send("POST", LOGIN, body)

        assert answer.status_code == 400
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
        assert world.identity.requests == []


class TestRouting:
    """Paths, methods and callers."""

    @pytest.mark.parametrize(
        ("path", "issuer"),
        [("/", "gateway"), ("/api/v1/auth/login/", "gateway"), ("/api/v1/sessions/a/b", "gateway")],
    )
    async def test_unknown_paths(self, world: World, path: str, issuer: str) -> None:
        """404 as a problem."""
        answer = await world.send("GET", path, issuer=issuer)

        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")

    @pytest.mark.parametrize(("method", "path"), ROUTES)
    async def test_unknown_methods(self, world: World, method: str, path: str) -> None:
        """405 as a problem."""
        issuer = "identity" if path == CHANGES else "gateway"

        answer = await world.send("PATCH", path, issuer=issuer)

        assert method != "PATCH"
        assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")

    @pytest.mark.parametrize(("method", "path"), ROUTES)
    async def test_nobody_gets_in_without_an_assertion(
        self, world: World, method: str, path: str
    ) -> None:
        """Not even to the public keys: the gateway is the only door."""
        absent = await world.send(method, path, headers={"gatehouse-assertion": ""})
        forged = await world.send(method, path, headers={"gatehouse-assertion": "e30.AAAA"})

        assert (absent.status_code, absent.json()["code"]) == (401, "assertion_required")
        assert (forged.status_code, forged.json()["code"]) == (401, "assertion_invalid")

    @pytest.mark.parametrize(
        "content",
        [b"", b"{", b"[]", b"{}", b'{"specversion": "1.0"}', b'{"specversion": "1.0", "id": "x"}'],
    )
    async def test_pushes_that_are_no_events(self, world: World, content: bytes) -> None:
        """400, and the inbox stays empty."""
        answer = await world.send("POST", CHANGES, issuer="identity", content=content)

        assert (answer.status_code, answer.json()["code"]) == (400, "malformed_body")
        assert await world.rows("SELECT 1 FROM inbox") == []

    async def test_nothing_of_all_this_is_stored(self, world: World) -> None:
        """No subject, no session, no event."""
        for path in BODIES:
            for body in ({}, {"x": 1}, GOOD[path]):
                await world.client.send("POST", path, body)

        for table in ("subjects", "sessions", "refresh_tokens", "revocations", "outbox"):
            assert await world.count(table) == 0
