"""Bad input: refused with a pointer, never a 500, and nothing is stored."""

from typing import Any

import pytest

from chassis.testing import NOBODY
from services.identity.tests.configuration import NEW_PASSWORD, PASSWORD
from services.identity.tests.kit import Somebody, World, codes_of

ADA = {"email": "ada@example.com", "username": "ada", "password": PASSWORD}
SOMEBODY = Somebody(id=NOBODY, email="", username="", password="")
# All its fields may be left out; test_editing.py has the rest.
EDITING = ("PATCH", f"/api/v1/admin/users/{NOBODY}")
# (method, path, a body that would do)
BODIES: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/api/v1/auth/register", ADA),
    ("POST", "/api/v1/auth/email/verify", {"token": "gh_ev_x"}),
    ("POST", "/api/v1/auth/email/resend-verification", {"email": "ada@example.com"}),
    ("POST", "/api/v1/auth/password-reset", {"email": "ada@example.com"}),
    ("POST", "/api/v1/auth/password-reset/verify", {"token": "x", "new_password": NEW_PASSWORD}),
    (
        "POST",
        "/api/v1/auth/password-change",
        {"current_password": PASSWORD, "new_password": NEW_PASSWORD},
    ),
    ("PATCH", "/api/v1/users/me", {"username": "ada"}),
    ("DELETE", "/api/v1/users/me", {"password": PASSWORD}),
    (
        "POST",
        "/api/v1/users/me/email",
        {"email": "ada@example.com", "current_password": PASSWORD},
    ),
    ("POST", "/api/v1/users/me/email/revert", {"token": "gh_er_x"}),
    (*EDITING, {"username": "ada"}),
    ("PUT", f"/api/v1/admin/users/{NOBODY}/roles", {"roles": ["user"]}),
]
NOTHING_STORED = """
SELECT (SELECT count(*) FROM users) + (SELECT count(*) FROM outbox)
    + (SELECT count(*) FROM mail_requests) + (SELECT count(*) FROM login_counters)
"""


async def send(world: World, method: str, path: str, content: bytes, **how: Any) -> Any:
    """Send raw bytes as somebody who is logged in."""
    return await world.call(method, path, content=content, principal=SOMEBODY.principal(), **how)


class TestEveryBody:
    """What no endpoint takes."""

    @pytest.mark.parametrize(("method", "path", "good"), BODIES)
    async def test_is_refused_whole(
        self, method: str, path: str, good: dict[str, Any], world: World
    ) -> None:
        """Broken JSON, wrong shapes, wrong media type, wrong method, too much."""
        first = next(iter(good))
        refused = {
            b"": (400, "malformed_body"),
            b"{": (400, "malformed_body"),
            b"[]": (400, "malformed_body"),
            b"null": (400, "malformed_body"),
            b"\xff\xfe{}": (400, "malformed_body"),
            b'{"%b": 1, "%b": 2}' % (first.encode(), first.encode()): (400, "malformed_body"),
            b'{"%b": NaN}' % first.encode(): (400, "malformed_body"),
            b"[" * 5000 + b"]" * 5000: (400, "malformed_body"),
            b"{}": (400, "invalid_input"),
            b'{"x": "' + b"y" * 66_000 + b'"}': (413, "payload_too_large"),
        }
        for content, expected in refused.items():
            answer = await send(world, method, path, content)
            assert (answer.status_code, answer.json()["code"]) == expected, content[:40]
        form = await send(
            world,
            method,
            path,
            b"a=b",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
        assert (form.status_code, form.json()["code"]) == (415, "unsupported_media_type")
        other = await world.call("OPTIONS", path)
        assert (other.status_code, other.json()["code"]) == (405, "method_not_allowed")
        assert await world.value(NOTHING_STORED) == 0

    @pytest.mark.parametrize(
        ("method", "path", "good"), [body for body in BODIES if body[:2] != EDITING]
    )
    async def test_is_refused_field_by_field(
        self, method: str, path: str, good: dict[str, Any], world: World
    ) -> None:
        """Missing, unknown, of another type, with NUL: the pointer says where."""
        principal = SOMEBODY.principal()
        for field in good:
            pointer = f"/{field}"
            without = {name: value for name, value in good.items() if name != field}
            wrongs: list[tuple[dict[str, Any], str | None]] = [
                (without, "missing"),
                ({**good, field: None}, None),
                ({**good, field: 7}, None),
                ({**good, field: {"$ne": 1}}, None),
                ({**good, field: ["a\u0000b"]}, "control_character"),
                ({**good, field: True}, None),
            ]
            for body, code in wrongs:
                answer = await world.call(method, path, body, principal=principal)
                assert answer.status_code == 400, body
                found = codes_of(answer)
                assert any(place.startswith(pointer) for place, _ in found), body
                assert code is None or code in {found_code for _, found_code in found}
        answer = await world.call(method, path, {**good, "is_admin": True}, principal=principal)
        assert ("/is_admin", "unknown_field") in codes_of(answer)
        assert await world.value(NOTHING_STORED) == 0


class TestFields:
    """What single fields refuse."""

    @pytest.mark.parametrize(
        ("field", "value", "code"),
        [
            ("email", "nobody", "invalid_email"),
            ("email", "a@example.com\r\nBcc: b@example.com", "control_character"),
            ("email", "a" * 60_000 + "@example.com", "invalid_email"),
            ("username", "a@b", "invalid_username"),
            ("username", "ab", "invalid_username"),
            ("username", "a\u202eb", "invalid_username"),
            ("password", "x" * 2000, "password_too_long"),
            ("password", "", "password_too_short"),
            ("password", "Secret\u0000Pass1!", "control_character"),
        ],
    )
    async def test_at_registration(self, field: str, value: str, code: str, world: World) -> None:
        """One pointer, one code, and never the value itself."""
        answer = await world.post("/api/v1/auth/register", {**ADA, field: value})
        assert answer.status_code == 400
        assert (f"/{field}", code) in codes_of(answer)
        assert not value or value not in answer.text
        assert await world.value(NOTHING_STORED) == 0

    async def test_markup_is_only_text(self, world: World) -> None:
        """A password may hold anything printable."""
        odd = "<img src=x onerror=1>{{7*7}}${7*7}'; DROP TABLE users;--9A"
        answer = await world.post("/api/v1/auth/register", {**ADA, "password": odd})
        assert answer.status_code == 201


class TestPaths:
    """What does not exist."""

    async def test_is_404(self, world: World) -> None:
        """A problem with a code."""
        for path in ("/api/v1/auth/unknown", "/", "/api/v1/auth/register/"):
            answer = await world.post(path, {})
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")

    async def test_nothing_is_answered_without_an_assertion(self, world: World) -> None:
        """Who does not come through the gateway hears 401."""
        for headers in ({"gatehouse-assertion": ""}, {"gatehouse-assertion": "a.b"}):
            answer = await world.post("/api/v1/auth/register", ADA, headers=headers)
            assert answer.status_code == 401
        assert await world.value(NOTHING_STORED) == 0
