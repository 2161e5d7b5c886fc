"""Migrations: Alembic in process, one at a time, safe against a second migrator."""

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from chassis.database import metadata
from chassis.migrations import MigrationError, check_names, check_no_drift, find_drift, migrate
from chassis.testing.databases import FreshDatabase
from chassis.testing.fixtures import MakeDatabase
from chassis.testing.servers import PostgresServer

ENV = '''"""Run this service's migrations (Alembic loads this file by path)."""

from chassis.migrations import run_env

run_env()
'''

FIRST = '''"""Make the table."""

import sqlalchemy as sa
from alembic import op

from chassis.migrations import app_role

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "notes",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), server_default="", nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("id", "day", name="pk_notes"),
        postgresql_partition_by="RANGE (day)",
    )
    op.execute("CREATE TABLE notes_rest PARTITION OF notes DEFAULT")
    op.execute(f"GRANT SELECT, INSERT ON notes TO {app_role()}")
'''

SECOND = '''"""Find notes by their text."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_index("ix_notes_text", "notes", ["text"])
'''


def models() -> sa.MetaData:
    """Return the tables that the tree makes."""
    tables = metadata()
    sa.Table(
        "notes",
        tables,
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("text", sa.Text, nullable=False, server_default="", index=True),
        sa.Column("day", sa.Date, primary_key=True),
        postgresql_partition_by="RANGE (day)",
    )
    return tables


@pytest.fixture(scope="session")
def postgres_server(each_postgres: PostgresServer) -> PostgresServer:
    """Run on every version of this machine."""
    return each_postgres


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Give a service's migrations folder."""
    folder = tmp_path / "migrations"
    (folder / "versions").mkdir(parents=True)
    (folder / "env.py").write_text(ENV)
    (folder / "versions" / "0001_pre_notes.py").write_text(FIRST)
    (folder / "versions" / "0002_post_notes_text.py").write_text(SECOND)
    return folder


@pytest.fixture
async def empty(make_database: MakeDatabase) -> FreshDatabase:
    """Give a database without a table."""
    return await make_database("empty")


async def run(url: str, statement: str) -> object:
    """Run one statement in a transaction of its own and return its first value."""
    engine = create_async_engine(url, poolclass=sa.NullPool)
    async with engine.begin() as connection:
        result = await connection.execute(sa.text(statement))
        return result.scalar() if result.returns_rows else None


class TestMigrate:
    """Bringing a database up to date."""

    async def test_makes_what_the_models_say(self, empty: FreshDatabase, tree: Path) -> None:
        """An empty database equals the models afterwards, partitions aside."""
        await migrate(owner_url=empty.owner_url, script_location=tree, app_role=empty.app_role)

        await check_no_drift(empty.owner_url, models())
        assert await run(empty.owner_url, "SELECT version_num FROM alembic_version") == "0002"

    async def test_stops_at_the_target(self, empty: FreshDatabase, tree: Path) -> None:
        """A target holds back what comes after it, and a later run goes on from there."""
        await migrate(
            owner_url=empty.owner_url,
            script_location=tree,
            app_role=empty.app_role,
            target="0001",
        )
        assert await find_drift(empty.owner_url, models())

        await migrate(owner_url=empty.owner_url, script_location=tree, app_role=empty.app_role)

        assert not await find_drift(empty.owner_url, models())

    async def test_grants_rights_to_the_app_role_alone(
        self, make_database: MakeDatabase, tree: Path
    ) -> None:
        """The app role can do what the migration granted, and nothing else."""
        database = await make_database("notes", tree)

        await run(database.app_url, "INSERT INTO notes (id, day) VALUES (1, '2026-01-01')")

        for forbidden in (
            "DELETE FROM notes",
            "CREATE TABLE mine (id int)",
            "UPDATE alembic_version SET version_num = '0001'",
        ):
            with pytest.raises(DBAPIError, match="permission denied"):
                await run(database.app_url, forbidden)

    async def test_two_at_once_migrate_once(self, empty: FreshDatabase, tree: Path) -> None:
        """Migrators of one database wait for each other and then find nothing to do."""
        await asyncio.gather(
            *(
                migrate(owner_url=empty.owner_url, script_location=tree, app_role=empty.app_role)
                for _ in range(3)
            )
        )

        await check_no_drift(empty.owner_url, models())

    async def test_two_services_at_once_do_not_mix(
        self, make_database: MakeDatabase, tree: Path
    ) -> None:
        """Alembic's globals never serve two databases at once."""
        databases = [await make_database("empty") for _ in range(3)]

        await asyncio.gather(
            *(
                migrate(owner_url=one.owner_url, script_location=tree, app_role=one.app_role)
                for one in databases
            )
        )

        for one in databases:
            await check_no_drift(one.owner_url, models())

    async def test_waits_for_a_migrator_in_another_process(
        self, empty: FreshDatabase, tree: Path
    ) -> None:
        """Whoever holds the advisory lock is waited for."""
        engine = create_async_engine(empty.owner_url, poolclass=sa.NullPool)
        async with engine.connect() as other:
            await other.execute(sa.text("SELECT pg_advisory_lock(7)"))
            migration = asyncio.create_task(
                migrate(
                    owner_url=empty.owner_url,
                    script_location=tree,
                    app_role=empty.app_role,
                    advisory_lock=7,
                )
            )
            waiting = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted AND objid = 7")
            while not await other.scalar(waiting):
                assert not migration.done()
            assert await other.scalar(sa.text("SELECT to_regclass('notes')")) is None
        await migration

        await check_no_drift(empty.owner_url, models())

    async def test_a_failed_migration_leaves_the_earlier_ones(
        self, empty: FreshDatabase, tree: Path
    ) -> None:
        """Each migration is a transaction: a broken one leaves nothing of itself."""
        broken = SECOND.replace('["text"]', '["text"]); op.execute("broken"')
        (tree / "versions" / "0002_post_notes_text.py").write_text(broken)

        with pytest.raises(DBAPIError, match="broken"):
            await migrate(owner_url=empty.owner_url, script_location=tree, app_role=empty.app_role)

        assert await run(empty.owner_url, "SELECT version_num FROM alembic_version") == "0001"
        assert await run(empty.owner_url, "SELECT to_regclass('ix_notes_text')") is None


class TestNames:
    """The names of the files."""

    @pytest.mark.parametrize("name", ["0003_notes.py", "3_pre_notes.py", "0003_pre_.py"])
    def test_refuses_other_names(self, tree: Path, name: str) -> None:
        """A file says by its name whether it runs before or after the new code."""
        (tree / "versions" / name).write_text(SECOND)

        with pytest.raises(MigrationError, match=name):
            check_names(tree)

    def test_refuses_a_missing_tree(self, tmp_path: Path) -> None:
        """A wrong path is told as such."""
        with pytest.raises(MigrationError, match="does not exist"):
            check_names(tmp_path)


class TestDrift:
    """Comparing a database with the models."""

    async def test_tells_each_difference(self, make_database: MakeDatabase, tree: Path) -> None:
        """A missing index, a changed default and an unknown column are all named."""
        database = await make_database("notes", tree)
        await run(database.owner_url, "DROP INDEX ix_notes_text")
        await run(database.owner_url, "ALTER TABLE notes ALTER text SET DEFAULT 'x'")
        await run(database.owner_url, "ALTER TABLE notes ADD extra int")

        with pytest.raises(AssertionError) as failure:
            await check_no_drift(database.owner_url, models())

        for word in ("ix_notes_text", "modify_default", "extra"):
            assert word in str(failure.value)
