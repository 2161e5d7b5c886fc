"""Housekeeping: every table has a bound."""

from datetime import timedelta
from uuid import UUID

import pytest

from chassis.database import Database
from chassis.outbox import Outbox
from chassis.testing import FixedClock
from chassis.testing.fixtures import MakeDatabase
from contracts.identity import UserDeleted
from services.identity import models
from services.identity.repository import housekeeping, users
from services.identity.service import expiry
from services.identity.service.expiry import Expiry
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
    (SELECT count(*) FROM failed_login_attempts) AS failures,
    (SELECT count(*) FROM email_changes) AS changes,
    (SELECT count(*) FROM username_holds) AS holds
"""


OTHERS = [
    "UPDATE users SET is_verified = true, unverified_since = NULL",
    "UPDATE users SET last_login = now()",
    "UPDATE users SET is_locked = true",
    "UPDATE users SET is_disabled = true",
    "INSERT INTO user_roles SELECT id, 'moderator', now() FROM users",
    "UPDATE users SET unverified_since = unverified_since + interval '1 year'",
]
"""What makes an account one that does not expire."""


def housekeeper(
    database: Database, clock: FixedClock, life: timedelta | None = timedelta(days=30)
) -> Housekeeping:
    """Return who cleans *database* up; unverified accounts live for *life*."""
    outbox = Outbox("identity", models.outbox, clock)
    return Housekeeping(database, clock, expiry=Expiry(database, outbox, clock, life=life))


async def clean(world: World, clock: FixedClock) -> dict[str, int]:
    """Clean up at the clock's time and return what is left."""
    await housekeeper(world.database, clock).clean()
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
        change = {"email": "new@example.org", "current_password": PASSWORD}
        await world.post("/api/v1/users/me/email", change, principal=ada.principal())
        await world.mails_settled()
        await world.execute(
            "INSERT INTO username_holds (username, held_until) VALUES ('eve', :until)",
            until=clock.now() + timedelta(days=5),
        )
        everything = await clean(world, clock)
        assert 0 not in everything.values()
        clock.advance(timedelta(days=2))
        left = await clean(world, clock)
        assert (left["sources"], left["requests"]) == (0, 0)
        assert (left["verifications"], left["resets"], left["history"]) == (1, 1, 1)
        assert (left["changes"], left["holds"]) == (1, 1)
        assert left["counters"] == 1, "an unknown name's failures count on for 90 days"
        clock.advance(timedelta(days=7))
        left = await clean(world, clock)
        assert (left["verifications"], left["resets"], left["history"]) == (0, 0, 1)
        assert (left["changes"], left["holds"]) == (1, 0)
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
        assert after == before[-3:]  # the service's own housekeeping may have come first

    async def test_works_with_the_rights_of_the_app_role(
        self, clock: FixedClock, make_database: MakeDatabase
    ) -> None:
        """Deleting needs no more than the migrations granted."""
        database = await make_database("identity", MIGRATIONS)
        app = Database(database.app_url, pool_min=1, pool_max=1)
        assert await housekeeper(app, clock).clean() == 0
        await app.close()


class TestExpiry:
    """Accounts nobody ever proved go after thirty days (14.2.7), with all their names."""

    async def test_frees_the_names_and_tells(self, world: World, clock: FixedClock) -> None:
        """One deletion like any other; a day too early nothing happens."""
        ada = await world.register(verified=False)
        await world.login("ada", "wrong")
        clock.advance(timedelta(days=30))
        await clean(world, clock)
        assert await world.value("SELECT count(*) FROM users") == 1
        clock.advance(timedelta(seconds=1))
        left = await clean(world, clock)
        assert await world.value("SELECT count(*) FROM users") == left["counters"] == 0
        [event] = await world.events(UserDeleted)
        assert (event.subject, event.actor, event.subjectversion) == (str(ada.id), "expiry", 2)
        assert (await world.register(verified=False)).id != ada.id

    @pytest.mark.parametrize("change", OTHERS)
    async def test_spares_every_other_account(
        self, change: str, world: World, clock: FixedClock
    ) -> None:
        """Proven, used, in an administrator's hands, with a role, or young."""
        await world.register(verified=False)
        await world.execute(change)
        clock.advance(timedelta(days=90))
        await clean(world, clock)
        assert await world.value("SELECT count(*) FROM users") == 1

    @pytest.mark.parametrize("change", OTHERS)
    async def test_spares_what_changed_after_the_list_was_read(
        self, change: str, world: World, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The account is looked at again with its row locked."""
        ada = await world.register(verified=False)
        await world.execute(change)

        async def listed(*_: object, **_limits: object) -> list[UUID]:
            return [ada.id]

        monkeypatch.setattr(users, "list_never_proven", listed)
        clock.advance(timedelta(days=90))
        await clean(world, clock)
        assert await world.value("SELECT count(*) FROM users") == 1

    async def test_can_be_switched_off(self, world: World, clock: FixedClock) -> None:
        """UNVERIFIED_ACCOUNT_DAYS=0."""
        await world.register(verified=False)
        clock.advance(timedelta(days=4000))
        await housekeeper(world.database, clock, life=None).clean()
        assert await world.value("SELECT count(*) FROM users") == 1

    async def test_goes_through_more_than_a_batch(
        self, world: World, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Until nothing is due."""
        monkeypatch.setattr(expiry, "_BATCH", 2)
        for name in ("one", "two", "three", "four", "five"):
            await world.register(name, verified=False)
        clock.advance(timedelta(days=31))
        await clean(world, clock)
        assert await world.value("SELECT count(*) FROM users") == 0
        assert len(await world.events(UserDeleted)) == 5
