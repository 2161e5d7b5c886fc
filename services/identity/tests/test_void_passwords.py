"""A void password inside a session: the access token outlives the session by a moment."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from services.identity.hashing import PasswordHasher, Verdict
from services.identity.tests.configuration import NEW_PASSWORD, PASSWORD
from services.identity.tests.kit import Somebody, World
from services.identity.tests.test_email_change import NEW
from services.identity.tests.test_email_revert import move, revert, way_back

Act = Callable[[World, Somebody, Somebody], Awaitable[Any]]
DOORS = [
    ("POST", "/api/v1/auth/password-change", {"new_password": NEW_PASSWORD}, "current_password"),
    ("POST", "/api/v1/users/me/email", {"email": NEW}, "current_password"),
    ("DELETE", "/api/v1/users/me", {}, "password"),
]


async def force(world: World, root: Somebody, ada: Somebody) -> Any:
    """Void the password as an administrator."""
    path = f"/api/v1/admin/users/{ada.id}/force-password-reset"
    return await world.post(path, principal=root.principal("admin"))


async def disable(world: World, root: Somebody, ada: Somebody) -> Any:
    """Take the account out of service."""
    path = f"/api/v1/admin/users/{ada.id}/disable"
    return await world.post(path, principal=root.principal("admin"))


async def take_back(world: World, _root: Somebody, ada: Somebody) -> Any:
    """Take a change of address back."""
    await move(world, ada, "elsewhere@example.com")
    return await revert(world, await way_back(world, ada.email))


async def knock(world: World, ada: Somebody, door: tuple[str, str, dict[str, str], str]) -> Any:
    """Do what needs the password repeated."""
    method, path, body, field = door
    return await world.call(method, path, {**body, field: PASSWORD}, principal=ada.principal())


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door[1])
class TestVoidPassword:
    """Whoever still has an access token and the old password gets nowhere with them."""

    @pytest.mark.parametrize(
        ("act", "code"),
        [
            (force, "password_reset_required"),
            (take_back, "password_reset_required"),
            (disable, "account_disabled"),
        ],
    )
    async def test_opens_nothing(self, act: Act, code: str, door: Any, world: World) -> None:
        """Nor does the refusal count as a failure."""
        root, ada = await world.make("root", "admin"), await world.register()
        assert (await act(world, root, ada)).status_code == 200
        answers = [await knock(world, ada, door) for _ in range(6)]
        assert {(a.status_code, a.json()["code"]) for a in answers} == {(403, code)}
        assert (await world.login("ada", PASSWORD)).json()["code"] == code
        assert (await world.login("ada", NEW_PASSWORD)).status_code == 401

    async def test_opens_nothing_when_it_is_void_by_the_time_it_was_verified(
        self, door: Any, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The account is looked at again with its row locked."""
        ada, loop = await world.register(), asyncio.get_running_loop()
        original = PasswordHasher.verify
        void = "UPDATE users SET credentials_epoch = credentials_epoch + 1"

        def verify(hasher: PasswordHasher, stored: str, password: str) -> Verdict:
            asyncio.run_coroutine_threadsafe(world.execute(void), loop).result(timeout=10)
            return original(hasher, stored, password)

        monkeypatch.setattr(PasswordHasher, "verify", verify)
        assert (await knock(world, ada, door)).json()["code"] == "invalid_credentials"
        assert await world.value("SELECT count(*) FROM users") == 1
