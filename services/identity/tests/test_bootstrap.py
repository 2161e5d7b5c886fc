"""Bootstrap: the first administrator (design §8)."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from services.identity.tests.configuration import NEW_PASSWORD
from services.identity.tests.kit import World

Worlds = Callable[..., AbstractAsyncContextManager[World]]
FIRST = {
    "bootstrap_admin_email": "root@example.com",
    "bootstrap_admin_password": "Velvet-Tractor-7",
}


class TestBootstrap:
    """While there has never been an administrator."""

    async def test_makes_a_verified_account_that_must_change(self, worlds: Worlds) -> None:
        """The password of the settings opens only the way to another."""
        async with worlds(**FIRST) as world:
            answer = await world.login("admin", "Velvet-Tractor-7")
            assert answer.json()["code"] == "password_change_required"
            body = {"token": answer.json()["reset_token"], "new_password": NEW_PASSWORD}
            await world.post("/api/v1/auth/password-reset/verify", body)
            answer = await world.login("root@example.com", NEW_PASSWORD)
            assert answer.json()["roles"] == ["admin", "user"]

    async def test_may_spare_the_change(self, worlds: Worlds) -> None:
        """The embedded mode says so."""
        async with worlds(**FIRST, bootstrap_admin_must_change=False) as world:
            assert (await world.login("admin", "Velvet-Tractor-7")).status_code == 200

    async def test_happens_once(self, worlds: Worlds) -> None:
        """Also after the administrator is gone, and with other names."""
        async with worlds(**FIRST) as world:
            await world.execute("DELETE FROM users")
        other = {**FIRST, "bootstrap_admin_email": "other@example.com"}
        async with worlds(**other) as world:
            assert await world.value("SELECT count(*) FROM users") == 0

    @pytest.mark.parametrize(
        ("names", "variable"),
        [
            ({"bootstrap_admin_email": "Ada@Example.com"}, "BOOTSTRAP_ADMIN_EMAIL"),
            ({"bootstrap_admin_username": "ADA"}, "BOOTSTRAP_ADMIN_USERNAME"),
            ({"bootstrap_admin_password": "password"}, "BOOTSTRAP_ADMIN_PASSWORD"),
            ({"bootstrap_admin_email": "nobody"}, "BOOTSTRAP_ADMIN_EMAIL"),
        ],
    )
    async def test_refuses_to_start_rather_than_promote(
        self,
        names: dict[str, str],
        variable: str,
        worlds: Worlds,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """Exit 78 with the reason, and nobody is an administrator."""
        async with worlds() as world:
            await world.register("ada")
        with pytest.raises(SystemExit) as stop:
            async with worlds(**{**FIRST, **names}):
                pass
        assert stop.value.code == 78
        assert variable in capsys.readouterr().err
        async with worlds() as world:
            assert await world.value("SELECT count(*) FROM user_roles WHERE role = 'admin'") == 0
