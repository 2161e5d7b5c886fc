"""Names are keys: whoever changes one meets whoever counts a failure of the account."""

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa

from chassis.testing import eventually
from services.identity.repository import users
from services.identity.tests.configuration import PASSWORD
from services.identity.tests.kit import Somebody, World
from services.identity.tests.test_email_change import NEW, ask, confirm, confirmation_token
from services.identity.tests.test_email_revert import move, revert, way_back


async def confirming(world: World, ada: Somebody) -> Any:
    """Prepare the confirmation of a new address."""
    await ask(world, ada, NEW)
    return confirm(world, await confirmation_token(world, NEW))


async def reverting(world: World, ada: Somebody) -> Any:
    """Prepare taking a change back."""
    await move(world, ada)
    return revert(world, await way_back(world, ada.email))


async def renaming(world: World, ada: Somebody) -> Any:
    """Prepare another username."""
    body = {"username": "augusta"}
    return world.call("PATCH", "/api/v1/users/me", body, principal=ada.principal())


async def editing(world: World, ada: Somebody) -> Any:
    """Prepare an administrator's correction."""
    root = await world.make("root", "admin")
    path, body = f"/api/v1/admin/users/{ada.id}", {"email": NEW}
    return world.call("PATCH", path, body, principal=root.principal("admin"))


async def deleting(world: World, ada: Somebody) -> Any:
    """Prepare the deletion by the owner."""
    body = {"password": PASSWORD}
    return world.call("DELETE", "/api/v1/users/me", body, principal=ada.principal())


@pytest.mark.parametrize("prepare", [confirming, reverting, renaming, editing, deleting])
async def test_waits_for_who_holds_the_account_and_then_changes_it(
    prepare: Any, world: World
) -> None:
    """A fifth failure holds the account and then locks it: neither may wait for the other."""
    ada = await world.register()
    act = await prepare(world, ada)
    async with world.database.transaction() as tx:
        assert await users.hold(tx, ada.id)
        acting = asyncio.create_task(act)
        await eventually(lambda: _somebody_waits(world))
        await tx.execute(sa.text("UPDATE users SET locked_until = now()"))
    assert (await acting).is_success


async def _somebody_waits(world: World) -> bool:
    waiting = (
        "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)"
        " WHERE NOT granted AND datname = current_database()"
    )
    return bool(await world.value(waiting))
