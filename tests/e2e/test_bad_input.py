"""Bad input at every endpoint that takes a body: a named 4xx, never a 500, nothing stored."""

import json

import pytest

from tests.platforms.person import Person
from tests.platforms.platform import Platform

pytestmark = pytest.mark.slow

BODIES = {
    "/api/v1/auth/register": {"email": "a@example.com", "username": "abc", "password": "Abcdef1!x"},
    "/api/v1/auth/login": {"username": "abc", "password": "Abcdef1!x"},
    "/api/v1/auth/refresh": {"refresh_token": "gh_rt_x"},
    "/api/v1/auth/logout": {"refresh_token": "gh_rt_x"},
    "/api/v1/auth/password-reset": {"email": "a@example.com"},
    "/api/v1/auth/password-reset/verify": {"token": "x", "new_password": "Abcdef1!x"},
    "/api/v1/auth/email/verify": {"token": "x"},
    "/api/v1/users/me/email/revert": {"token": "x"},
    "/api/v1/auth/email/resend-verification": {"email": "a@example.com"},
}
JSON = "application/json"


def _field(path: str) -> str:
    return next(iter(BODIES[path]))


def _cases(path: str) -> list[tuple[str, bytes, str, set[int]]]:
    good, field = BODIES[path], _field(path)
    encoded = json.dumps(good).encode()
    return [
        ("empty", b"", JSON, {401} if path.endswith("logout") else {400}),
        ("malformed", encoded[:-1], JSON, {400}),
        ("an array", b"[" + encoded + b"]", JSON, {400}),
        ("wrong type", json.dumps(good | {field: ["x"]}).encode(), JSON, {400}),
        ("an operator", json.dumps(good | {field: {"$ne": 1}}).encode(), JSON, {400}),
        ("null", json.dumps(good | {field: None}).encode(), JSON, {400, 401}),
        ("unknown field", json.dumps(good | {"is_verified": True}).encode(), JSON, {400}),
        ("a key twice", encoded[:-1] + b"," + encoded[1:], JSON, {400}),
        ("bad UTF-8", encoded[:-2] + b"\xff" + encoded[-2:], JSON, {400}),
        ("NUL", json.dumps(good | {field: "a\x00b"}).encode(), JSON, {400}),
        ("a line break", json.dumps(good | {field: "a\r\nb"}).encode(), JSON, {400}),
        ("deep nesting", b"[" * 30_000, JSON, {400}),
        ("too large", json.dumps(good | {field: "x" * 70_000}).encode(), JSON, {413}),
        ("a form", b"a=b", "application/x-www-form-urlencoded", {415}),
        ("plain text", encoded, "text/plain", {415}),
    ]


class TestBadBodies:
    """One corpus for all of them."""

    @pytest.mark.parametrize("path", BODIES)
    async def test_each_is_refused_by_name(self, platform: Platform, path: str) -> None:
        """A problem with a code; a pointer where one field is to blame."""
        for name, body, media_type, statuses in _cases(path):
            async with platform.person() as person:
                response = await person.send(path, body, media_type)
            assert response.status_code in statuses, (name, response.status_code, response.text)
            problem = response.json()
            assert problem["code"], name
            assert response.headers["content-type"].startswith("application/problem+json"), name
            if problem["code"] == "invalid_input":
                assert all(error["pointer"].startswith("/") for error in problem["errors"]), name

    async def test_nothing_of_a_refused_registration_is_stored(self, person: Person) -> None:
        """After a refusal the same name is free."""
        body = {"email": person.email, "username": person.username, "password": person.password}
        refused = await person.call("POST", "/api/v1/auth/register", body | {"roles": ["admin"]})
        assert refused.status_code == 400
        assert (await person.register()).status_code == 201

    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "TRACE"])
    async def test_a_wrong_method_is_405(self, person: Person, method: str) -> None:
        """On a path that exists."""
        response = await person.call(method, "/api/v1/auth/register")
        assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
