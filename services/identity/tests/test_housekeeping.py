"""Housekeeping: every table has a bound."""

from datetime import timedelta

import pytest

from chassis.database import Database
from chassis.testing import FixedClock
from chassis.testing.fixtures import MakeDatabase
from services.identity.repository import housekeeping
from services.identity.service.housekeeping import Housekeeping
from services.identity.tests.configuration import MIGRATIONS, PASSWORD
from services.identity.tests.kit import World

COUNTS = """
SELECT (SELECT count(*) FROM email_verifications) AS verifications,
    (SELECT count(*) FROM password_resets) AS resets,
    (SELECT count(*) FROM mail_requests) AS requests,
    (SELECT count(*) FROM login_sources) AS sources,
    (SELECT count(*) FROM login_counters) AS counters,
    (SELECT count(*) FROM login_history) AS history,
    (SELECT count(*) FROM failed_login_attempts) AS failures
"""


async def clean(world: World, clock: FixedClock) -> dict[str, int]:
    """Clean up at the clock's time and return what is left."""
    await Housekeeping(world.database, clock).clean()
    return dict((await world.rows(COUNTS))[0]._mapping)


class TestHousekeeping:
    """What has had its time goes, and nothing else."""

    async def test_keeps_what_is_young_and_deletes_what_is_old(
        self, world: World, clock: FixedClock
    ) -> None:
        """By age: sources, then requests and counters, then tokens, then histories."""
        ada = await world.register()
        await world.reset_token(ada.email)
        await world.login("nobody", "wrong")
        await world.login("ada", PASSWORD)
        everything = await clean(world, clock)
        assert 0 not in everything.values()
        clock.advance(timedelta(days=2))
        left = await clean(world, clock)
        assert (left["sources"], left["requests"]) == (0, 0)
        assert (left["verifications"], left["resets"], left["history"]) == (1, 1, 1)
        assert left["counters"] == 1, "an unknown name's failures count on for 90 days"
        clock.advance(timedelta(days=7))
        left = await clean(world, clock)
        assert (left["verifications"], left["resets"], left["history"]) == (0, 0, 1)
        clock.advance(timedelta(days=90))
        assert set((await clean(world, clock)).values()) == {0}

    async def test_never_forgets_an_accounts_failures(
        self, world: World, clock: FixedClock
    ) -> None:
        """The hundred are counted however slowly somebody guesses."""
        await world.register()
        await world.login("ada", "wrong")
        clock.advance(timedelta(days=365))
        assert (await clean(world, clock))["counters"] == 1

    async def test_caps_the_names_nobody_has(
        self, world: World, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The longest untouched go first."""
        monkeypatch.setattr(housekeeping, "MAX_UNOWNED_COUNTERS", 3)
        for name in ("n-one", "n-two", "n-three", "n-four", "n-five"):
            await world.login(name, "wrong")
            clock.advance(timedelta(seconds=1))
        before = await world.rows("SELECT key FROM login_counters ORDER BY touched_at")
        assert (await clean(world, clock))["counters"] == 3
        after = await world.rows("SELECT key FROM login_counters ORDER BY touched_at")
        assert after == before[2:]

    async def test_works_with_the_rights_of_the_app_role(
        self, clock: FixedClock, make_database: MakeDatabase
    ) -> None:
        """Deleting needs no more than the migrations granted."""
        database = await make_database("identity", MIGRATIONS)
        app = Database(database.app_url, pool_min=1, pool_max=1)
        assert await Housekeeping(app, clock).clean() == 0
        await app.close()
