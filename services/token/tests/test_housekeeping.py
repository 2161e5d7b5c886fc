"""What has served is removed, and nothing else."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from chassis.testing.servers import PostgresServer
from contracts.identity import UserDeleted, UserDisabled, UserRolesChanged
from services.token.service.housekeeping import DELETED_SUBJECTS_KEPT
from services.token.tests.kit import World

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


@contextmanager
def statements(world: World) -> Iterator[list[str]]:
    """Collect what the service says to its database."""
    heard: list[str] = []

    def hear(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        heard.append(statement)

    engine = world.parts._database._pool.engine
    sa.event.listen(engine, "before_cursor_execute", hear)
    yield heard
    sa.event.remove(engine, "before_cursor_execute", hear)


class TestHousekeeping:
    """Expired tokens, ended sessions, old entries of the deny list."""

    async def test_a_session_that_ran_out_is_ended_and_told(self, world: World) -> None:
        """After seven idle days: reason `expired`; a day later the row is gone."""
        world.identity.register()
        await world.client.login()
        world.clock.advance(timedelta(days=7, minutes=1))

        await world.keep_house()
        reasons = [e["data"]["reason"] for e in await world.events("token.session.ended.v1")]
        world.clock.advance(timedelta(days=1, seconds=1))
        await world.keep_house()

        assert reasons == ["expired"]
        for table in ("refresh_tokens", "sessions", "revocations"):
            assert await world.count(table) == 0

    async def test_a_refresh_under_way_when_its_token_expires_is_not_met(
        self, world: World
    ) -> None:
        """It holds the session and will want the token: who removes it would want the session."""
        world.identity.register()
        await world.client.login()
        world.clock.advance(7 * DAY)

        async with world.database.transaction() as refresh:
            await refresh.execute(sa.text("SELECT FROM sessions FOR NO KEY UPDATE"))
            await asyncio.wait_for(world.keep_house(), timeout=20)
            spent = "UPDATE refresh_tokens SET spent_at = :now WHERE spent_at IS NULL"
            rotated = await refresh.execute(sa.text(spent), {"now": world.clock.now()})

        assert rotated.rowcount == 1
        assert await world.events("token.session.ended.v1") == []

    async def test_what_lives_stays(self, world: World) -> None:
        """A session in use outlives its first tokens, and refreshes on."""
        world.identity.register()
        tokens = await world.client.login()
        for _ in range(3):
            world.clock.advance(timedelta(days=3))
            tokens = (await world.client.refresh(tokens["refresh_token"])).json()

        await world.keep_house()

        left = await world.rows("SELECT generation FROM refresh_tokens ORDER BY generation")
        assert [row.generation for row in left] == [2, 3, 4]
        assert (await world.client.refresh(tokens["refresh_token"])).status_code == 200

    async def test_batches_are_small_and_go_on_until_all_is_done(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Five sessions in batches of two."""
        for name in "abcde":
            world.identity.register(name)
            await world.client.login(name)
        world.clock.advance(timedelta(days=9))

        monkeypatch.setattr(world.parts.housekeeping, "_batch", 2)
        await world.keep_house()

        assert len(await world.events("token.session.ended.v1")) == 5

    async def test_no_statement_deletes_without_a_limit(self, world: World) -> None:
        """Never a table as a whole, whatever there is to remove."""
        world.identity.register()
        await world.client.login()
        world.clock.advance(9 * DAY)

        with statements(world) as heard:
            await world.keep_house()
            world.clock.advance(2 * DAY)
            await world.keep_house()

        removing = [text for text in heard if "DELETE" in text or "forget_subjects" in text]
        assert {text.split()[2] for text in removing if "DELETE" in text} == {
            *("refresh_tokens", "sessions", "revocations", "revoked_signing_keys")
        }
        assert all("LIMIT" in text or "forget_subjects" in text for text in removing)


class TestDeletedUsers:
    """What is known of somebody who is gone."""

    @pytest.fixture
    def postgres_server(self, each_postgres: PostgresServer) -> PostgresServer:
        """Run on every PostgreSQL: the removal is a function in the database."""
        return each_postgres

    async def test_is_forgotten_after_thirty_days(self, world: World) -> None:
        """As long as an event or a login may come late, a row says that nobody may come back."""
        account = world.identity.register()
        await world.client.login()
        await world.push(world.event(UserDeleted(user_id=account.user_id), 2))

        world.clock.advance(DELETED_SUBJECTS_KEPT)
        await world.keep_house()
        kept = await world.rows("SELECT status FROM subjects")
        world.clock.advance(timedelta(seconds=1))
        await world.keep_house()

        assert [row.status for row in kept] == ["deleted"]
        assert await world.count("subjects") == 0

    async def test_a_repeated_deletion_does_not_keep_it_longer(self, world: World) -> None:
        """The first one counts; a late event of before changes nothing either."""
        account = world.identity.register()
        user = {"user_id": account.user_id}
        await world.push(world.event(UserDeleted(**user), 5))
        world.clock.advance(20 * DAY)
        await world.push(world.event(UserDeleted(**user), 5))
        await world.push(world.event(UserRolesChanged(**user, roles=(), previous_roles=()), 4))

        world.clock.advance(10 * DAY + MINUTE)
        await world.keep_house()

        assert await world.count("subjects") == 0

    async def test_nobody_else_is(self, world: World) -> None:
        """Neither the active nor the disabled, nor the deleted of whom a session is left."""
        for name in ("active", "disabled", "deleted"):
            world.identity.register(name)
            await world.client.login(name)
        users = world.identity.accounts
        await world.push(world.event(UserDisabled(user_id=users["disabled"].user_id), 2))
        await world.push(world.event(UserDeleted(user_id=users["deleted"].user_id), 2))
        await world.as_owner(
            "UPDATE sessions SET ended_at = '2030-01-01' WHERE ended_at > '2026-01-01'"
        )

        world.clock.advance(40 * DAY)
        await world.keep_house()

        left = await world.rows("SELECT status FROM subjects ORDER BY status")
        assert [row.status for row in left] == ["active", "deleted", "disabled"]
