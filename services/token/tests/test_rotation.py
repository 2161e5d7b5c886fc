"""The one statement of the usual refresh: it claims only what is still as it was read."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from chassis.outbox import Row
from chassis.testing import eventually
from services.token.refresh_secrets import RefreshSecret
from services.token.repository.refresh_tokens import Claim, Family, claim_unchanged, find_family
from services.token.tests.kit import World

CHANGES = {
    "roles": "UPDATE subjects SET roles_version = roles_version + 1",
    "status": "UPDATE subjects SET status = 'disabled', status_version = status_version + 1",
    "reset": "UPDATE subjects SET sessions_valid_from = sessions_valid_from + 1",
    "logout": "UPDATE sessions SET ended_at = now(), ended_reason = 'logout'",
    "lift": "UPDATE sessions SET subject_version = subject_version + 1",
    "rotation": "UPDATE refresh_tokens SET spent_at = now()",
}
WAITING = "SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


class Case:
    """A session that has been read for a refresh, and the claim that follows."""

    def __init__(self, world: World, secret: RefreshSecret, family: Family) -> None:
        self._world = world
        self._family = family
        now = world.clock.now()
        self._claim = Claim(
            spent=secret.hash,
            spent_by=b"client",
            successor=RefreshSecret.new().hash,
            sealed_successor="sealed",
            now=now,
            expires_at=now + timedelta(days=1),
            client_address=None,
            user_agent=None,
            device=None,
            refreshes_paid_until=now,
        )
        self._announcement: Row = (uuid4(), "auth.events", "token.token.refreshed.v1", "{}")

    async def claim(self) -> bool:
        """Claim what was read."""
        async with self._world.database.statements() as each:
            return await claim_unchanged(each, self._family, self._claim, self._announcement)

    async def traces(self) -> tuple[int, int]:
        """Return how many tokens there are, and how often the claim was announced."""
        tokens = await self._world.count("refresh_tokens")
        announced = await self._world.rows(
            "SELECT 1 FROM outbox WHERE event_id = :id", id=self._announcement[0]
        )
        return tokens, len(announced)


@pytest.fixture
async def case(world: World) -> Case:
    """Return a session just read."""
    world.identity.register()
    tokens = await world.client.login()
    secret = RefreshSecret.parse(tokens["refresh_token"])
    assert secret is not None
    async with world.database.statements() as each:
        family = await find_family(each, secret.hash)
    assert family is not None
    return Case(world, secret, family)


async def change(world: World, statement: str) -> None:
    """Commit a change of somebody else's."""
    async with world.database.transaction() as tx:
        await tx.execute(sa.text(statement))


async def is_waiting(world: World) -> bool:
    """Say whether somebody waits for a lock."""
    rows: list[Any] = await world.rows(WAITING)
    return bool(rows[0].n)


class TestClaimUnchanged:
    """`claim_unchanged`."""

    async def test_rotates_and_announces(self, case: Case) -> None:
        """The successor is there, and the event with it."""
        assert await case.claim()
        assert await case.traces() == (2, 1)

    @pytest.mark.parametrize("name", CHANGES)
    async def test_leaves_what_has_changed(self, world: World, case: Case, name: str) -> None:
        """Nothing is claimed, added or announced."""
        await change(world, CHANGES[name])
        assert not await case.claim()
        assert await case.traces() == (1, 0)

    @pytest.mark.parametrize("name", CHANGES)
    async def test_waits_for_whoever_is_changing_it(
        self, world: World, case: Case, name: str
    ) -> None:
        """What it waited for is compared as it has become, not as it was when the wait began."""
        async with world.database.transaction() as tx:
            await tx.execute(sa.text(CHANGES[name]))
            claiming = asyncio.create_task(case.claim())
            await eventually(lambda: is_waiting(world))
        assert not await claiming
        assert await case.traces() == (1, 0)

    @pytest.mark.parametrize("table", ["subjects", "sessions"])
    async def test_goes_on_when_a_lock_changed_nothing(
        self, world: World, case: Case, table: str
    ) -> None:
        """A login that was refused in the end, say."""
        async with world.database.transaction() as tx:
            await tx.execute(sa.text(f"SELECT 1 FROM {table} FOR UPDATE"))  # noqa: S608 - our own words
            claiming = asyncio.create_task(case.claim())
            await eventually(lambda: is_waiting(world))
        assert await claiming
        assert await case.traces() == (2, 1)
