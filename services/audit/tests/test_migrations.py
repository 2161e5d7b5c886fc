"""What the migrations leave behind: tables and rights."""

import asyncpg
import pytest

from chassis.migrations import check_no_drift
from chassis.testing.fixtures import MakeDatabase
from chassis.testing.servers import PostgresServer
from services.audit.models import METADATA
from services.audit.tests.world import MIGRATIONS, World

FORBIDDEN = (
    "UPDATE audit_log SET outcome = 'success'",
    "UPDATE audit_log SET leaf_index = 1",
    "DELETE FROM audit_log",
    "TRUNCATE audit_log",
    "DROP TABLE audit_log",
    "ALTER TABLE audit_log ADD COLUMN note text",
    "ALTER TABLE audit_log DISABLE TRIGGER ALL",
    "ALTER TABLE audit_log DETACH PARTITION audit_log_default",
    "INSERT INTO audit_log (leaf_index) VALUES (1)",
    "SELECT FROM audit_log FOR UPDATE",
    "UPDATE audit_personal SET actor = NULL",
    "DELETE FROM audit_personal",
    "TRUNCATE audit_personal",
    "DELETE FROM erased_persons",
    "INSERT INTO erased_persons (digest) VALUES ('x')",
    "INSERT INTO audit_partitions (name, starts_at, ends_at) VALUES ('x', now(), now())",
    "INSERT INTO archive_manifests (partition_name) VALUES ('x')",
    "UPDATE archive_manifests SET verified_at = now()",
    "DELETE FROM archive_manifests",
    "UPDATE archive_objects SET row_count = 1",
    "DELETE FROM archive_objects",
    "DELETE FROM archive_person_keys",
    "UPDATE archive_person_keys SET digest = ''",
    "UPDATE audit_partitions SET ends_at = now()",
    "SELECT FROM audit_log_default",
    "INSERT INTO audit_log_default DEFAULT VALUES",
    "SELECT FROM audit_personal_default",
    "CREATE TABLE mine (id int)",
    "CREATE TEMPORARY TABLE mine (id int)",
    "CREATE SCHEMA mine",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE sql AS ''",
)
"""What the app role must not be able to do."""

GUARDED = (
    "UPDATE audit_log SET outcome = 'denied'",
    "UPDATE audit_log SET leaf_bytes = ''",
    "UPDATE audit_log SET leaf_index = 1, outcome = 'denied'",
    "DELETE FROM audit_log",
    "TRUNCATE audit_log",
    "UPDATE audit_personal SET salt = ''",
    "TRUNCATE audit_personal",
)
"""What not even the owner does without taking a guard away first."""


@pytest.fixture
def postgres_server(each_postgres: PostgresServer) -> PostgresServer:
    """Run these tests on every PostgreSQL there is."""
    return each_postgres


class TestSchema:
    """An empty database brought up to date."""

    async def test_equals_the_models(self, make_database: MakeDatabase) -> None:
        """Migrations and models never drift apart."""
        fresh = await make_database("audit", MIGRATIONS)

        await check_no_drift(fresh.owner_url, METADATA)

    async def test_equals_the_models_with_partitions(self, recorded: World) -> None:
        """Partitions are data, not drift."""
        await check_no_drift(recorded.fresh.owner_url, METADATA)


class TestRights:
    """What the service itself cannot do, whoever took it over."""

    async def test_the_app_role_only_adds_and_reads(self, app: asyncpg.Connection) -> None:
        """Everything else is denied to it."""
        allowed = [statement for statement in FORBIDDEN if not await _is_denied(app, statement)]

        assert allowed == []

    async def test_the_app_role_is_denied_every_partition(self, app: asyncpg.Connection) -> None:
        """There is no way around the log through one of its parts."""
        partitions = await app.fetch("SELECT relname FROM pg_class WHERE relispartition")
        tables = [row["relname"] for row in partitions if row["relname"].startswith("audit_")]

        rights = [
            await app.fetchval("SELECT has_table_privilege($1, $2)", table, right)
            for table in tables
            for right in ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE")
        ]

        assert len(rights) > 40
        assert not any(rights)

    @pytest.mark.parametrize("name", ["default", "202001", "209901"])
    async def test_the_app_role_drops_nothing_by_its_own_word(
        self, app: asyncpg.Connection, name: str
    ) -> None:
        """The functions by which partitions leave refuse until the archive is there."""
        month = await app.fetchval("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYYMM')")
        for partition in (name, month):
            with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
                await app.execute("SELECT drop_archived_partition($1)", partition)
            with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
                await app.execute("SELECT register_archive($1, '', 0, 0, '')", partition)
            assert not await app.fetchval("SELECT confirm_archive($1, sha256(''))", partition)
            assert await app.fetchval("SELECT count(*) FROM archive_manifests") == 0

    async def test_nobody_else_may_call_the_functions(self, app: asyncpg.Connection) -> None:
        """The functions that run as the owner are for the app role alone."""
        open_to_all = await app.fetch(
            "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
            " AND (proacl IS NULL OR array_to_string(proacl, ' ') ~ '(^| )=X')"
        )

        assert open_to_all == []

    async def test_the_owner_is_stopped_by_the_guards(self, owner: asyncpg.Connection) -> None:
        """Not even a migration changes the log by accident."""
        allowed = [statement for statement in GUARDED if not await _is_denied(owner, statement)]

        assert allowed == []

    async def test_a_leaf_index_is_set_once(self, owner: asyncpg.Connection) -> None:
        """The sequencer's one right: a row gets its place in the tree, and keeps it."""
        await owner.execute("UPDATE audit_log SET leaf_index = 5")

        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await owner.execute("UPDATE audit_log SET leaf_index = 6")
        assert await owner.fetchval("SELECT leaf_index FROM audit_log") == 5


async def _is_denied(connection: asyncpg.Connection, statement: str) -> bool:
    try:
        await connection.execute(statement)
    except asyncpg.InsufficientPrivilegeError:
        return True
    return False
