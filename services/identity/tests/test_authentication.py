"""Authentication: POST /internal/v1/authenticate and GET /internal/v1/subjects/{id}."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import bcrypt
import pytest

from chassis.testing import NOBODY, FixedClock
from contracts.identity import LoginFailed, LoginSucceeded
from services.identity.hashing import HashPool, PasswordHasher, Verdict
from services.identity.tests.configuration import NEW_PASSWORD, PASSWORD
from services.identity.tests.kit import World, at_once

Worlds = Callable[..., AbstractAsyncContextManager[World]]
SUBJECT = "/internal/v1/subjects/{}"


class TestAuthenticate:
    """Good credentials."""

    @pytest.mark.parametrize("name", ["ada", "ADA", "ada@example.com", "Ada@Example.COM"])
    async def test_says_who_it_is(self, name: str, world: World) -> None:
        """Username or address, in any case."""
        ada = await world.register()
        answer = await world.login(name, PASSWORD)
        assert answer.status_code == 200
        body = answer.json()
        assert (body["user_id"], body["roles"], body["status"]) == (str(ada.id), ["user"], "active")
        assert (body["version"], body["amr"]) == (2, ["pwd"])
        assert body["device_token"].startswith("gh_dt_")

    async def test_is_remembered_and_told(self, world: World, clock: FixedClock) -> None:
        """`last_login`, history, event; the version stays."""
        ada = await world.register()
        clock.advance(timedelta(hours=1))
        await world.login("ada", PASSWORD)
        assert await world.value("SELECT last_login FROM users") == clock.now()
        assert await world.value("SELECT version FROM users") == 2
        [event] = await world.events(LoginSucceeded)
        assert (event.subject, event.actor) == (str(ada.id), str(ada.id))

    async def test_fifty_parallel_logins_never_look_like_a_lock(self, world: World) -> None:
        """Whoever finds no slot comes back a second later."""
        await world.register()
        answers = await at_once(50, lambda _n: world.login("ada", PASSWORD))
        assert {answer.status_code for answer in answers} <= {200, 429}
        assert any(answer.status_code == 200 for answer in answers)
        refused = [answer for answer in answers if answer.status_code == 429]
        assert {answer.headers["Retry-After"] for answer in refused} <= {"1"}
        assert await world.events(LoginFailed) == []
        assert (await world.login("ada", PASSWORD)).status_code == 200

    async def test_an_imported_hash_is_upgraded(self, world: World) -> None:
        """The seed's bcrypt verifies once, then Argon2id stands there."""
        await world.register()
        stored = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
        await world.execute("UPDATE users SET password_hash = :hash", hash=stored)
        assert (await world.login("ada", "wrong")).status_code == 401
        assert await world.value("SELECT password_hash FROM users") == stored
        assert (await world.login("ada", PASSWORD)).status_code == 200
        assert str(await world.value("SELECT password_hash FROM users")).startswith("$argon2id$")
        assert (await world.login("ada", PASSWORD)).status_code == 200

    async def test_a_login_in_flight_does_not_survive_a_reset(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The password was right when it was read, and is not any more when it is settled."""
        ada = await world.register()
        token = await world.reset_token(ada.email)
        reset_done = asyncio.Event()
        original = HashPool.run

        async def held(pool: HashPool, *arguments: Any) -> Any:
            result: object = await original(pool, *arguments)
            if isinstance(result, Verdict):
                await reset_done.wait()
            return result

        monkeypatch.setattr(HashPool, "run", held)
        login = asyncio.create_task(world.login("ada", PASSWORD))
        body = {"token": token, "new_password": NEW_PASSWORD}
        assert (await world.post("/api/v1/auth/password-reset/verify", body)).status_code == 200
        reset_done.set()
        assert (await login).json()["code"] == "invalid_credentials"


class TestRefusals:
    """Bad credentials, and good ones that lead nowhere."""

    async def test_unknown_and_wrong_are_the_same(self, world: World) -> None:
        """Same status, same body but for nothing, same headers."""
        await world.register()
        wrong = await world.login("ada", "wrong")
        unknown = await world.login("nobody", "wrong")
        absurd = await world.login("n" * 5000, "w" * 5000)
        assert wrong.status_code == 401
        assert wrong.json()["code"] == "invalid_credentials"
        assert wrong.content == unknown.content == absurd.content
        assert set(wrong.headers) == set(unknown.headers)

    async def test_an_unknown_name_costs_the_same_hash(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One verification each, with the same parameters."""
        await world.register()
        seen: list[str] = []
        original = PasswordHasher.verify

        def spy(hasher: PasswordHasher, stored: str, password: str) -> Verdict:
            seen.append(stored.rsplit("$", 2)[0])
            return original(hasher, stored, password)

        monkeypatch.setattr(PasswordHasher, "verify", spy)
        await world.login("ada", "wrong")
        await world.login("nobody", "wrong")
        assert len(seen) == 2
        assert seen[0] == seen[1]

    async def test_an_unknown_name_is_told_only_as_a_keyed_hash(self, world: World) -> None:
        """People type passwords into the name field (D16)."""
        await world.login("My-Secret-Passw0rd", "x")
        [event] = await world.events(LoginFailed)
        assert event.data["user_id"] is None
        assert event.subject == f"name:{event.data['name_hash']}"
        everything = await world.value(
            "SELECT string_agg(body::text, '') FROM outbox"
        ) + await world.value("SELECT string_agg(f::text, '') FROM failed_login_attempts f")
        assert "secret" not in everything.lower()

    async def test_an_unproven_address_is_told_after_the_right_password_only(
        self, world: World
    ) -> None:
        """403 email_not_verified, else 401."""
        await world.register(verified=False)
        assert (await world.login("ada", "wrong")).json()["code"] == "invalid_credentials"
        answer = await world.login("ada", PASSWORD)
        assert (answer.status_code, answer.json()["code"]) == (403, "email_not_verified")
        assert await world.value("SELECT last_login FROM users") is None

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ("UPDATE users SET is_disabled = true", "account_disabled"),
            ("UPDATE users SET is_locked = true", "account_disabled"),
            ("UPDATE users SET password_reset_required = true", "password_reset_required"),
        ],
    )
    async def test_an_account_out_of_service_is_told_after_the_right_password_only(
        self, change: str, code: str, world: World
    ) -> None:
        """An administrator's lock looks like any other withdrawal."""
        await world.register()
        await world.execute(change)
        assert (await world.login("ada", "wrong")).json()["code"] == "invalid_credentials"
        answer = await world.login("ada", PASSWORD)
        assert (answer.status_code, answer.json()["code"]) == (403, code)
        assert "reset_token" not in answer.json()

    async def test_a_password_to_be_changed_comes_with_a_token_for_it(
        self, world: World, clock: FixedClock
    ) -> None:
        """Ten minutes, once."""
        await world.register()
        await world.execute("UPDATE users SET password_change_required = true")
        answer = await world.login("ada", PASSWORD)
        assert answer.json()["code"] == "password_change_required"
        assert answer.json()["reset_expires_in"] == 600
        clock.advance(timedelta(minutes=9))
        body = {"token": answer.json()["reset_token"], "new_password": NEW_PASSWORD}
        reset = await world.post("/api/v1/auth/password-reset/verify", body)
        assert reset.status_code == 200
        assert (await world.login("ada", NEW_PASSWORD)).status_code == 200

    async def test_nothing_is_hashed_for_a_caller_who_is_gone(self, world: World) -> None:
        """503 with Retry-After, and the slot is free again (D4)."""
        await world.register()
        for _ in range(6):
            answer = await world.login("ada", PASSWORD, deadline_seconds=0)
            assert (answer.status_code, answer.json()["code"]) == (503, "hashing_overloaded")
            assert answer.headers["Retry-After"] == "1"
        assert (await world.login("ada", PASSWORD)).status_code == 200


class TestWhoMayAsk:
    """Internal paths belong to token alone."""

    async def test_the_gateway_may_not(self, world: World) -> None:
        """Nobody reaches them from outside."""
        for path in ("/internal/v1/authenticate", SUBJECT.format(uuid4())):
            assert (await world.post(path, {}, issuer="gateway")).status_code == 403

    async def test_token_may_nothing_else(self, world: World) -> None:
        """The public paths are the gateway's."""
        answer = await world.call("GET", "/api/v1/users/me", issuer="token")
        assert answer.status_code == 403


class TestSubjects:
    """The state of one account."""

    async def test_has_roles_status_and_version(self, world: World) -> None:
        """What token keeps a copy of."""
        ada = await world.make("ada", "moderator")
        answer = await world.call("GET", SUBJECT.format(ada.id), issuer="token")
        assert answer.json() == {
            "user_id": str(ada.id),
            "roles": ["moderator", "user"],
            "status": "active",
            "version": 2,
        }

    async def test_a_failure_lock_is_nobodys_business(self, world: World) -> None:
        """Running sessions are untouched by it (D6)."""
        ada = await world.register()
        for _ in range(5):
            await world.login("ada", "wrong")
        answer = await world.call("GET", SUBJECT.format(ada.id), issuer="token")
        assert answer.json()["status"] == "active"

    @pytest.mark.parametrize("user_id", [str(NOBODY), "nonsense"])
    async def test_an_unknown_one_is_404(self, user_id: str, world: World) -> None:
        """Also when the id is none."""
        answer = await world.call("GET", SUBJECT.format(user_id), issuer="token")
        assert (answer.status_code, answer.json()["code"]) == (404, "user_not_found")
