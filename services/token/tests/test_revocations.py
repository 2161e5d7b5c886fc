"""The deny list as gateways follow it (D12)."""

from collections.abc import AsyncIterator
from datetime import timedelta
from urllib.parse import urlencode

import pytest

from chassis.testing import FixedClock
from chassis.testing.fixtures import MakeDatabase
from services.token.service import revocations as service
from services.token.tests.kit import MIGRATIONS, World, run_world

PATH = "/internal/v1/revocations"


@pytest.fixture
async def world(make_database: MakeDatabase, clock: FixedClock) -> AsyncIterator[World]:
    """Give a service that allows any number of sessions."""
    database = await make_database("token", MIGRATIONS)
    async with run_world(database, clock, max_sessions_per_user=0) as running:
        running.identity.register()
        yield running


async def logged_out(world: World) -> str:
    """Log in and out; return the session's id."""
    tokens = await world.client.login()
    await world.client.logout(await world.principal(tokens))
    return str(tokens["session_id"])


async def page(world: World, since: str | None = None) -> tuple[list[str], str, bool]:
    """Read one page: the values, the cursor, whether it is the last."""
    target = f"{PATH}?{urlencode({'since': since})}" if since else PATH
    body = (await world.send("GET", target)).json()
    return [entry["value"] for entry in body["entries"]], body["cursor"], body["complete"]


class TestReading:
    """GET /internal/v1/revocations."""

    async def test_the_first_call_gives_all_live_entries_in_order(self, world: World) -> None:
        """Those that have run out are not among them."""
        await logged_out(world)
        world.clock.advance(timedelta(minutes=16, seconds=30))
        expected = [await logged_out(world) for _ in range(3)]

        values, _, complete = await page(world)

        assert (values, complete) == (expected, True)

    async def test_pages_follow_one_another(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nothing is left out and nothing stands twice within one reading."""
        monkeypatch.setattr(service, "PAGE", 2)
        expected = [await logged_out(world) for _ in range(5)]

        first, cursor, first_is_last = await page(world)
        second, cursor, _ = await page(world, cursor)
        third, _, third_is_last = await page(world, cursor)

        assert [*first, *second, *third] == expected
        assert (first_is_last, third_is_last) == (False, True)

    async def test_a_later_commit_of_an_earlier_entry_is_not_missed(self, world: World) -> None:
        """Its transaction began before the last reading and ended after it."""
        sid = "0190f3a0-0000-7000-8000-00000000000a"
        async with world.database.transaction() as tx:
            connection = await tx.driver()
            await connection.execute(
                "INSERT INTO revocations (kind, value, revoked_until) VALUES ('sid', $1, $2)",
                sid,
                world.clock.now() + timedelta(minutes=16),
            )
            newer = await logged_out(world)
            before, cursor, _ = await page(world)

        after, _, _ = await page(world, cursor)

        assert before == [newer]
        assert set(after) == {newer, sid}

    async def test_what_is_older_than_the_overlap_is_not_read_again(self, world: World) -> None:
        """A poll costs what a minute brought."""
        await logged_out(world)
        await world.as_owner(
            "UPDATE revocations SET created_at = created_at - interval '61 seconds'"
        )
        _, cursor, _ = await page(world)
        recent = await logged_out(world)

        values, _, _ = await page(world, cursor)

        assert values == [recent]

    @pytest.mark.parametrize("since", ["x", "-1", "1.2", "1' OR '1'='1", "9" * 65])
    async def test_a_cursor_that_is_none(self, world: World, since: str) -> None:
        """400 with the field named."""
        answer = await world.send("GET", f"{PATH}?{urlencode({'since': since})}")

        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")
        assert answer.json()["errors"][0]["pointer"] == "/since"

    async def test_only_gateways_may_read(self, world: World) -> None:
        """Identity may not."""
        answer = await world.send("GET", PATH, issuer="identity")

        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
