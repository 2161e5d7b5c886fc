"""Partitions: made ahead, and dropped only when archived."""

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
import sqlalchemy as sa

from chassis.testing.fixtures import MakeDatabase
from chassis.testing.servers import PostgresServer
from services.audit.models import AUDIT_PARTITIONS
from services.audit.repository.partitions import count_default
from services.audit.tests.world import MIGRATIONS, World


@pytest.fixture
def postgres_server(each_postgres: PostgresServer) -> PostgresServer:
    """Run these tests on every PostgreSQL there is."""
    return each_postgres


class TestPartitions:
    """Partitions by the time of receipt."""

    async def test_the_current_and_three_more_are_there(self, world: World) -> None:
        """Months join without a hole, from this one to the third after it."""
        assert await world.partitions.ensure() == 4

        rows = await world.rows(sa.select(AUDIT_PARTITIONS).order_by(AUDIT_PARTITIONS.c.starts_at))
        now = datetime.fromtimestamp(rows[0].created_at.timestamp(), UTC)
        assert rows[0].starts_at == now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        assert rows[0].name == f"{now:%Y%m}"
        assert [row.starts_at for row in rows[1:]] == [row.ends_at for row in rows[:-1]]
        assert all(row.ends_at - row.starts_at >= timedelta(days=28) for row in rows)

    async def test_ensuring_again_makes_none(self, world: World) -> None:
        """The daily task finds nothing to do until a month is over."""
        await world.partitions.ensure()

        assert await world.partitions.ensure() == 0

    async def test_days_are_made_where_days_are_asked_for(
        self, make_database: MakeDatabase
    ) -> None:
        """AUDIT_PARTITION=day on a fresh log makes days from today on."""
        world = World(await make_database("audit", MIGRATIONS), unit="day")

        assert await world.partitions.ensure() == 4

        rows = await world.rows(sa.select(AUDIT_PARTITIONS))
        await world.database.close()
        assert {row.ends_at - row.starts_at for row in rows} == {timedelta(days=1)}

    async def test_a_changed_unit_waits_for_the_partitions_there(self, world: World) -> None:
        """Partitions never overlap, so days begin where the months end."""
        await world.partitions.ensure()
        days = World(world.fresh, unit="day")

        assert await days.partitions.ensure() == 0

        await days.database.close()

    async def test_rows_land_in_their_month(
        self, recorded: World, owner: asyncpg.Connection
    ) -> None:
        """Both tables use the partition of the moment; DEFAULT stays empty."""
        for table in ("audit_log", "audit_personal"):
            found = await owner.fetch(f"SELECT tableoid::regclass::text AS name FROM {table}")  # noqa: S608 - two constants
            month = await owner.fetchval("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYYMM')")
            assert {row["name"] for row in found} == {f"{table}_{month}"}
        assert recorded.sample("gatehouse_audit_default_partition_rows") == 0

    async def test_a_row_of_no_partition_lands_in_default(
        self, recorded: World, owner: asyncpg.Connection
    ) -> None:
        """A clock far ahead loses nothing, shows in the metric, and breaks no later partition."""
        await owner.execute(
            "INSERT INTO audit_log (received_at, event_id, type, source, outcome, occurred_at,"
            " leaf_bytes) SELECT now() + interval '10 months', gen_random_uuid(), 't', 's',"
            " 'success', now(), ''"
        )

        await recorded.partitions.ensure()
        made = await owner.fetchval("SELECT ensure_partitions('month', 12)")

        assert recorded.sample("gatehouse_audit_default_partition_rows") == 1
        assert made == 8  # nine more were asked for; the month of the stray row stays in DEFAULT

    async def test_counting_strays_reads_no_other_partition(
        self, recorded: World, owner: asyncpg.Connection
    ) -> None:
        """It is done daily, on a log of any length."""
        month = await owner.fetchval("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYYMM')")
        async with owner.transaction():
            # Whoever looks into the month has to wait for it, and gives up.
            await owner.execute(f"LOCK TABLE audit_log_{month} IN ACCESS EXCLUSIVE MODE")
            async with recorded.database.transaction() as tx:
                assert await count_default(tx) == 0

    @pytest.mark.parametrize(("unit", "ahead"), [("year", 3), ("month", 61), ("month", -1)])
    async def test_nonsense_is_refused(
        self, app: asyncpg.Connection, unit: str, ahead: int
    ) -> None:
        """The function is callable by the service, so it does not trust its arguments."""
        with pytest.raises(asyncpg.InvalidParameterValueError):
            await app.execute("SELECT ensure_partitions($1, $2)", unit, ahead)


class TestDropping:
    """A month whose retention is over."""

    @pytest.fixture
    async def closed(self, owner: asyncpg.Connection) -> str:
        """Give a closed month with one row."""
        for table in ("audit_log", "audit_personal"):
            await owner.execute(
                f"CREATE TABLE {table}_202001 PARTITION OF {table}"
                " FOR VALUES FROM ('2020-01-01Z') TO ('2020-02-01Z')"
            )
        await owner.execute(
            "INSERT INTO audit_partitions (name, starts_at, ends_at)"
            " VALUES ('202001', '2020-01-01Z', '2020-02-01Z')"
        )
        await owner.execute(
            "INSERT INTO audit_log (received_at, event_id, type, source, outcome, occurred_at,"
            " leaf_bytes) VALUES ('2020-01-15Z', gen_random_uuid(), 't', 's', 'success', now(), '')"
        )
        return "202001"

    async def test_is_refused_without_a_manifest(
        self, owner: asyncpg.Connection, closed: str
    ) -> None:
        """What was not archived is not dropped."""
        with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError, match="verified manifest"):
            await owner.execute("SELECT drop_archived_partition($1)", closed)

    @pytest.mark.parametrize(
        ("rows", "verified", "reason"),
        [(1, False, "verified manifest"), (0, True, "count the rows")],
    )
    async def test_is_refused_unless_the_manifest_is_verified_and_complete(
        self, owner: asyncpg.Connection, closed: str, *, rows: int, verified: bool, reason: str
    ) -> None:
        """A manifest that was not read back, or that lacks a row, is none."""
        await _manifest(owner, closed, rows=rows, verified=verified)

        with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError, match=reason):
            await owner.execute("SELECT drop_archived_partition($1)", closed)

    async def test_drops_what_is_archived(self, owner: asyncpg.Connection, closed: str) -> None:
        """Both parts go, the register remembers when."""
        await _manifest(owner, closed, rows=1, verified=True)

        assert await owner.fetchval("SELECT drop_archived_partition($1)", closed) == 1

        assert await owner.fetchval("SELECT to_regclass('audit_log_202001')") is None
        assert await owner.fetchval("SELECT to_regclass('audit_personal_202001')") is None
        dropped = "SELECT dropped_at FROM audit_partitions WHERE name = $1"
        assert await owner.fetchval(dropped, closed) is not None

    @pytest.mark.parametrize("name", ["default", "209901", "x'; DROP TABLE audit_log; --"])
    async def test_is_refused_for_what_is_no_closed_partition(
        self, owner: asyncpg.Connection, name: str
    ) -> None:
        """Only registered, closed partitions can go."""
        with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError, match="no closed partition"):
            await owner.execute("SELECT drop_archived_partition($1)", name)


async def _manifest(owner: asyncpg.Connection, name: str, *, rows: int, verified: bool) -> None:
    await owner.execute(
        "INSERT INTO archive_manifests"
        " (partition_name, location, row_count, sha256, manifest, verified_at)"
        " VALUES ($1, 'file:///archive', $2, '', '', CASE WHEN $3 THEN now() END)",
        name,
        rows,
        verified,
    )
