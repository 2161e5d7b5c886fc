"""What the migrations leave behind: tables and rights."""

import asyncpg
import pytest

from chassis.migrations import check_no_drift
from chassis.testing.fixtures import MakeDatabase
from services.token.models import metadata
from services.token.tests.kit import MIGRATIONS, World

FORBIDDEN = (
    "CREATE TABLE mine (id int)",
    "CREATE TEMPORARY TABLE mine (id int)",
    "CREATE SCHEMA mine",
    "DROP TABLE sessions",
    "ALTER TABLE sessions ADD COLUMN note text",
    "TRUNCATE revocations",
    "UPDATE revocations SET revoked_until = now()",
    "DELETE FROM subjects",
)
"""What the app role must not be able to do."""


class TestSchema:
    """The migrated database."""

    async def test_equals_the_models(self, make_database: MakeDatabase) -> None:
        """An upgrade of an empty database shows no drift."""
        database = await make_database("token", MIGRATIONS)

        await check_no_drift(database.owner_url, metadata)

    @pytest.mark.parametrize("statement", FORBIDDEN)
    async def test_the_app_role_has_no_other_rights(self, world: World, statement: str) -> None:
        """It works with rows; a revocation, once made, stays until it has run out."""
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with world.database.transaction() as tx:
                await (await tx.driver()).execute(statement)
