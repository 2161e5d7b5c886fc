"""A service is ready only in front of a schema that has what it needs."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.exc import ProgrammingError

from chassis.database import Database
from chassis.migrations import migrate
from chassis.schema_version import SchemaBehindError, needed_revision, schema_check
from chassis.testing.databases import FreshDatabase
from chassis.testing.fixtures import MakeDatabase

ROOT = Path(__file__).parents[2]
MIGRATION = '''"""Change nothing."""

revision = "{number}"
down_revision = {before}


def upgrade() -> None:
    """Do so."""
'''
ENV = "from chassis.migrations import run_env\n\nrun_env()\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a tree of three migrations; the last is for later."""
    versions = tmp_path / "migrations" / "versions"
    versions.mkdir(parents=True)
    (tmp_path / "migrations" / "env.py").write_text(ENV)
    kinds = {"0001": "pre", "0002": "pre", "0003": "post"}
    before = "None"
    for number, kind in kinds.items():
        text = MIGRATION.format(number=number, before=before)
        (versions / f"{number}_{kind}_nothing.py").write_text(text)
        before = f'"{number}"'
    return tmp_path / "migrations"


@pytest.fixture
async def empty(make_database: MakeDatabase) -> FreshDatabase:
    """Return a database that nothing has been done to."""
    return await make_database("empty")


@pytest.fixture
async def database(empty: FreshDatabase) -> AsyncIterator[Database]:
    """Return it as the service's own role sees it."""
    opened = Database(empty.app_url, pool_min=1, pool_max=1)
    yield opened
    await opened.close()


class TestNeeded:
    """What the code needs."""

    def test_is_the_newest_pre_migration(self, tree: Path) -> None:
        """A `post` migration waits until no older code is left."""
        assert needed_revision(tree) == 2

    @pytest.mark.parametrize("service", ["identity", "token", "notify", "audit"])
    def test_every_service_needs_something_and_says_so(self, service: str) -> None:
        """And its readiness looks for it."""
        room = ROOT / "services" / service
        texts = [
            path.read_text() for path in room.rglob("*.py") if "app" in str(path.relative_to(room))
        ]

        assert needed_revision(room / "migrations") >= 1
        assert sum('add_check("schema", schema_check(' in text for text in texts) == 1


class TestCheck:
    """The readiness check."""

    @pytest.mark.parametrize(("target", "ready"), [("0001", False), ("0002", True), ("head", True)])
    async def test_asks_for_what_is_needed_and_no_more(
        self, empty: FreshDatabase, database: Database, tree: Path, target: str, *, ready: bool
    ) -> None:
        """A schema that is behind is refused; one that is ahead is good."""
        await migrate(
            owner_url=empty.owner_url,
            script_location=tree,
            app_role=empty.app_role,
            target=target,
        )
        check = schema_check(database, str(tree.parent / "app.py"))
        if ready:
            await check()
        else:
            with pytest.raises(SchemaBehindError, match="at 1, 2 is needed"):
                await check()

    async def test_leaves_a_database_that_is_away_to_another_check(self, tree: Path) -> None:
        """One cause has one name."""
        nowhere = Database("postgresql+asyncpg://x:y@127.0.0.1:1/x", pool_min=1, pool_max=1)
        await schema_check(nowhere, str(tree.parent / "app.py"))()
        await nowhere.close()

    async def test_refuses_a_database_that_was_never_migrated(
        self, database: Database, tree: Path
    ) -> None:
        """There is no version at all."""
        with pytest.raises(ProgrammingError, match="alembic_version"):
            await schema_check(database, str(tree.parent / "app.py"))()
