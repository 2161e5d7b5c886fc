"""Password change: POST /api/v1/auth/password-change, and GET …/password-policy."""

from datetime import timedelta

import pytest

from chassis.testing import FixedClock
from contracts.identity import LoginFailed, PasswordChanged, UserLocked
from services.identity.hashing import PasswordHasher, Verdict
from services.identity.tests.configuration import NEW_PASSWORD, PASSWORD
from services.identity.tests.kit import World, at_once, codes_of

CHANGE = "/api/v1/auth/password-change"


class TestChange:
    """The owner knows the current password."""

    async def test_sets_the_new_one_and_spares_this_session(self, world: World) -> None:
        """The urgent event carries the session that lives on."""
        ada = await world.register()
        body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
        answer = await world.post(CHANGE, body, principal=ada.principal())
        assert answer.status_code == 200
        [event] = await world.events(PasswordChanged)
        assert event.data["session_id"] == str(ada.session_id)
        assert (event.actor, event.subjectversion) == (str(ada.id), 3)
        assert (await world.login("ada", PASSWORD)).status_code == 401
        assert (await world.login("ada", NEW_PASSWORD)).status_code == 200

    async def test_needs_somebody_logged_in(self, world: World) -> None:
        """Anonymous callers are turned away."""
        answer = await world.post(CHANGE, {})
        assert answer.status_code == 401

    async def test_five_wrong_ones_close_this_door_alone(
        self, world: World, clock: FixedClock
    ) -> None:
        """A stolen session guesses five times; the owner's login is untouched."""
        ada = await world.register()
        body = {"current_password": "wrong", "new_password": NEW_PASSWORD}
        answers = [await world.post(CHANGE, body, principal=ada.principal()) for _ in range(6)]
        assert [a.json()["code"] for a in answers] == ["invalid_credentials"] * 5 + [
            "account_locked"
        ]
        assert answers[-1].headers["Retry-After"] == "1800"
        assert (await world.login("ada", PASSWORD)).status_code == 200
        assert len(await world.events(LoginFailed)) == 6
        assert await world.events(UserLocked) == []
        clock.advance(timedelta(minutes=30))
        right = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
        assert (await world.post(CHANGE, right, principal=ada.principal())).status_code == 200

    async def test_guessing_here_is_bound_for_good(self, world: World, clock: FixedClock) -> None:
        """After a hundred failures in a row only a reset helps."""
        ada = await world.register()
        body = {"current_password": "wrong", "new_password": NEW_PASSWORD}
        await world.post(CHANGE, body, principal=ada.principal())
        await world.execute("UPDATE login_counters SET consecutive = 100, failures = 0")
        clock.advance(timedelta(days=2))
        right = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
        refused = await world.post(CHANGE, right, principal=ada.principal())
        assert refused.json()["code"] == "account_locked"
        reset = {"token": await world.reset_token(ada.email), "new_password": "Another-Horse-3"}
        await world.post("/api/v1/auth/password-reset/verify", reset)
        right["current_password"] = "Another-Horse-3"
        assert (await world.post(CHANGE, right, principal=ada.principal())).status_code == 200

    async def test_a_strangers_lock_does_not_reach_inside(self, world: World) -> None:
        """Who is logged in changes the password while the door is locked, and it stays locked."""
        ada = await world.register()
        for _ in range(6):
            await world.login("ada", "wrong", address="203.0.113.9")
        body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
        assert (await world.post(CHANGE, body, principal=ada.principal())).status_code == 200
        assert (await world.login("ada", NEW_PASSWORD)).json()["code"] == "account_locked"
        assert await world.value("SELECT locked_until IS NOT NULL FROM users") is True

    async def test_fifty_parallel_guesses_are_verified_five_times(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The slot is reserved before the hash, as at login."""
        ada = await world.register()
        verified: list[str] = []
        original = PasswordHasher.verify

        def spy(hasher: PasswordHasher, stored: str, password: str) -> Verdict:
            verified.append(password)
            return original(hasher, stored, password)

        monkeypatch.setattr(PasswordHasher, "verify", spy)
        body = {"current_password": "wrong", "new_password": NEW_PASSWORD}
        await at_once(50, lambda _n: world.post(CHANGE, body, principal=ada.principal()))
        assert len(verified) == 5

    async def test_holds_the_new_password_against_the_policy(self, world: World) -> None:
        """Before anything is verified or counted."""
        ada = await world.register()
        body = {"current_password": "wrong", "new_password": "x"}
        answer = await world.post(CHANGE, body, principal=ada.principal())
        assert answer.status_code == 400
        assert ("/new_password", "password_too_short") in codes_of(answer)
        assert await world.events(LoginFailed) == []

    async def test_refuses_the_same_again(self, world: World) -> None:
        """A change that changes nothing is none."""
        ada = await world.register()
        body = {"current_password": PASSWORD, "new_password": PASSWORD}
        answer = await world.post(CHANGE, body, principal=ada.principal())
        assert codes_of(answer) == {("/new_password", "password_unchanged")}

    async def test_voids_reset_links(self, world: World) -> None:
        """A link mailed before the change is dead."""
        ada = await world.register()
        token = await world.reset_token(ada.email)
        body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
        await world.post(CHANGE, body, principal=ada.principal())
        reset = {"token": token, "new_password": "Another-Horse-3"}
        answer = await world.post("/api/v1/auth/password-reset/verify", reset)
        assert answer.json()["code"] == "token_invalid"


class TestPolicy:
    """What clients may show."""

    async def test_is_told_to_anybody(self, world: World) -> None:
        """The seed's four settings."""
        answer = await world.call("GET", "/api/v1/auth/password-policy")
        assert answer.status_code == 200
        assert answer.json() == {
            "preset": "seed",
            "min_length": 8,
            "max_length": 1024,
            "require_uppercase": True,
            "require_numbers": True,
            "require_special_chars": True,
            "normalization": "NFC",
            "refused": ["common", "personal"],
        }
