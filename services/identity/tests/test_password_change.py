"""Password change: POST /api/v1/auth/password-change, and GET …/password-policy."""

from contracts.identity import LoginFailed, PasswordChanged
from services.identity.tests.configuration import NEW_PASSWORD, PASSWORD
from services.identity.tests.kit import World, codes_of

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

    async def test_a_wrong_current_password_counts_as_a_failed_login(self, world: World) -> None:
        """Five of them lock the account."""
        ada = await world.register()
        body = {"current_password": "wrong", "new_password": NEW_PASSWORD}
        answers = [await world.post(CHANGE, body, principal=ada.principal()) for _ in range(6)]
        assert [a.json()["code"] for a in answers] == ["invalid_credentials"] * 5 + [
            "account_locked"
        ]
        assert (await world.login("ada", PASSWORD)).json()["code"] == "account_locked"
        assert len(await world.events(LoginFailed)) == 7

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
