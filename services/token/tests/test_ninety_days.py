"""Three months of use, a few people a day: every table of token has a bound.

The days are whole, only the people are few. What the database times by its own clock (outbox and
inbox) is made a day older each day.
"""

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa

from chassis.relay import Relay
from chassis.testing import FixedClock, eventually
from chassis.testing.fixtures import MakeDatabase
from chassis.testing.servers import PostgresServer
from contracts.identity import PasswordReset, UserDeleted, UserEvent, UserRolesChanged
from services.token.models import metadata
from services.token.tests.kit import MIGRATIONS, Client, World, run_world

pytestmark = pytest.mark.slow

DAYS = 90
REGULARS = ("ada", "bob")
LASTING = "eve"
GUEST_STAYS = 5

BOUNDS: Mapping[str, int] = {
    # Everybody there is, and who was deleted in the last thirty days.
    "subjects": len(REGULARS) + 1 + GUEST_STAYS + 31,
    # One a user, and what ended in the last day.
    "sessions": 2 * len(REGULARS) + 1 + GUEST_STAYS + 8,
    # What was given in the last seven days, of sessions that are not gone.
    "refresh_tokens": 40,
    # What was revoked in the last minutes.
    "revocations": 4,
    # One that signs, one to come, one that goes.
    "signing_keys": 3,
    # What was revoked in the last thirty days, and the last fifty times everybody was logged out.
    "revoked_signing_keys": 50,
    "global_revocations": 50,
    # Seven days of events, and fourteen of what others told.
    "outbox": 8 * 15,
    "outbox_sequence": 1,
    "inbox": 15 * 3,
}
"""How many rows each table may have at the end of a day of this test's small volume."""

_OLDER = (
    (
        "UPDATE outbox SET created_at = created_at - interval '1 day',"
        " published_at = published_at - interval '1 day'"
    ),
    (
        "UPDATE inbox SET received_at = received_at - interval '1 day',"
        " done_at = done_at - interval '1 day'"
    ),
)


@pytest.fixture
def postgres_server(postgres: PostgresServer) -> PostgresServer:
    """Run on one PostgreSQL: what is looked at are numbers of rows."""
    return postgres


# On which day of a month a key that was replaced goes depends on when the service looked.
_BY_CHANCE = 1


class Company:
    """A few regular users, and a guest a day who is deleted some days later."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._version = 1
        self._guests: list[UUID] = []
        self._lasting: str | None = None
        for name in (*REGULARS, LASTING):
            world.identity.register(name)

    async def day(self, number: int) -> None:
        """Let a day of use pass."""
        await self._guest_comes(f"guest-{number}")
        await self._stays()
        for name in REGULARS:
            await self._works(name, leaves=number % 2 == 0)
        if number % 7 == 0:
            await self._is_robbed()
        await self._changes(number)

    async def _guest_comes(self, name: str) -> None:
        self._guests.append(self._world.identity.register(name).user_id)
        await self._world.client.login(name)
        if len(self._guests) > GUEST_STAYS:
            await self._tell(UserDeleted(user_id=self._guests.pop(0)))

    async def _stays(self) -> None:
        """Refresh once a day for as long as one session lasts, then log in again."""
        client = self._world.client
        answer = await client.refresh(self._lasting or "none")
        tokens = answer.json() if answer.is_success else await client.login(LASTING)
        self._lasting = tokens["refresh_token"]

    async def _works(self, name: str, *, leaves: bool) -> None:
        """Log in (which ends yesterday's session), and refresh through the day."""
        tokens = await self._world.client.login(name)
        for _ in range(2):
            self._world.clock.advance(timedelta(hours=4))
            tokens = (await self._world.client.refresh(tokens["refresh_token"])).json()
        if leaves:
            await self._world.client.logout(refresh_token=tokens["refresh_token"])

    async def _is_robbed(self) -> None:
        """Have a token used twice: a family ends, events are told."""
        stolen = (await self._world.client.login("ada"))["refresh_token"]
        await self._world.client.refresh(stolen)
        await Client(self._world, user_agent="thief/1.0").refresh(stolen)

    async def _changes(self, number: int) -> None:
        bob = self._world.identity.accounts["bob"]
        role = ("user", "moderator")[number % 2]
        changed = UserRolesChanged(user_id=bob.user_id, roles=(role,), previous_roles=())
        await self._tell(changed)
        if number % 10 == 0:
            await self._tell(PasswordReset(user_id=bob.user_id))
        bob.version = self._version

    async def _tell(self, data: UserEvent) -> None:
        self._version += 1
        await self._world.push(self._world.event(data, self._version))


async def end_the_day(world: World) -> dict[str, int]:
    """Do what the service does beside the requests; return how many rows each table has."""

    async def told() -> bool:
        return not await world.rows("SELECT 1 FROM outbox WHERE published_at IS NULL")

    await eventually(told)
    await world.rotate()
    await world.keep_house()
    async with world.database.transaction() as tx:
        for older in _OLDER:
            await tx.execute(sa.text(older))
    await Relay(world.parts._outbox, world.database, world.bus).prune()
    await world.parts._consumer.keep_house()
    return {table: await world.count(table) for table in metadata.tables}


class TestNinetyDays:
    """Row by row, table by table."""

    async def test_no_table_grows_without_end(
        self, make_database: MakeDatabase, clock: FixedClock
    ) -> None:
        """Each stays in its bound every day; the third month needs what the second did."""
        database = await make_database("token", MIGRATIONS)
        days: list[dict[str, int]] = []
        async with run_world(database, clock) as world:
            company = Company(world)
            for number in range(DAYS):
                tomorrow = clock.now() + timedelta(days=1)
                await company.day(number)
                clock.advance(tomorrow - clock.now())
                days.append(await end_the_day(world))

        assert set(days[-1]) == set(BOUNDS), "a table without a bound, or a bound without a table"
        most = {table: max(day[table] for day in days) for table in BOUNDS}
        second, third = (
            {table: max(day[table] for day in month) for table in BOUNDS}
            for month in (days[30:60], days[60:])
        )
        assert {t: (most[t], BOUNDS[t]) for t in BOUNDS if most[t] > BOUNDS[t]} == {}
        grown = {t for t in BOUNDS if third[t] > second[t] * 1.1 + _BY_CHANCE}
        assert {t: (second[t], third[t]) for t in grown} == {}
