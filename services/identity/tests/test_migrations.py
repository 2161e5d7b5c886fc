"""The migrations make what the models say, and the app role can do no more than it needs."""

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import ProgrammingError

from chassis.database import Database
from chassis.migrations import check_no_drift, migrate
from chassis.testing.fixtures import MakeDatabase
from services.identity.models import metadata
from services.identity.tests.configuration import MIGRATIONS


class TestMigrations:
    """One tree, from nothing to the models."""

    async def test_an_empty_database_becomes_the_models(self, make_database: MakeDatabase) -> None:
        """No drift."""
        database = await make_database("identity", MIGRATIONS)
        await check_no_drift(database.owner_url, metadata)

    async def test_migrating_again_changes_nothing(self, make_database: MakeDatabase) -> None:
        """A second start finds nothing to do."""
        database = await make_database("identity", MIGRATIONS)
        await migrate(
            owner_url=database.owner_url, script_location=MIGRATIONS, app_role=database.app_role
        )
        await check_no_drift(database.owner_url, metadata)

    @pytest.mark.parametrize(
        "statement",
        [
            "CREATE TABLE mine (id int)",
            "DROP TABLE users",
            "ALTER TABLE users ADD COLUMN x int",
            "TRUNCATE users",
            "INSERT INTO roles (name, description) VALUES ('root', '')",
            "UPDATE login_history SET outcome = 'succeeded'",
            "DELETE FROM bootstrap_marker",
        ],
    )
    async def test_the_app_role_may_not(self, statement: str, make_database: MakeDatabase) -> None:
        """No DDL, no new roles, no rewriting of history."""
        database = await make_database("identity", MIGRATIONS)
        app = Database(database.app_url, pool_min=1, pool_max=1)
        with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"):
            async with app.transaction() as tx:
                await tx.execute(sa.text(statement))
        await app.close()
