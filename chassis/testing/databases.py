"""Fresh databases for tests: migrated once per run, then copied by the server."""

import contextlib
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from chassis.migrations import migrate
from chassis.provisioning import (
    TEST_PREFIX,
    Role,
    admin_connection,
    database_url,
    drop_test_database,
    provision,
    quote_identifier,
    restrict_database,
)


@dataclass(frozen=True)
class FreshDatabase:
    """A migrated, empty database of a test's own; its URLs are for SQLAlchemy and are secrets."""

    name: str
    app_url: str = field(repr=False)
    owner_url: str = field(repr=False)
    app_role: str
    owner_role: str


@dataclass(frozen=True)
class _Template:
    database: str
    owner: Role
    app: Role


class Databases:
    """Makes the test databases of one server, and drops them; all are named `gatehouse_test_*`.

    The first use of a migration tree migrates a template, each further one copies it. Roles belong
    to the template: databases of one tree share them, and live until `close`. One `create` at a
    time.
    """

    def __init__(self, admin_url: str) -> None:
        self._admin_url = admin_url
        self._templates: dict[tuple[str, Path | None], _Template] = {}

    async def create(self, name: str, script_location: Path | None = None) -> FreshDatabase:
        """Make a database for the service *name*, migrated by its tree, or empty without one."""
        template = await self._template(name, script_location)
        database = f"{TEST_PREFIX}{name}_{secrets.token_hex(6)}"
        async with admin_connection(self._admin_url) as connection:
            await connection.execute(
                f"CREATE DATABASE {quote_identifier(database)}"
                f" TEMPLATE {quote_identifier(template.database)}"
                f" OWNER {quote_identifier(template.owner.name)}"
            )
            # A copy has the tables' rights, not the database's own.
            await restrict_database(connection, database, template.app)
        return FreshDatabase(
            name=database,
            app_url=database_url(self._admin_url, database=database, role=template.app),
            owner_url=database_url(self._admin_url, database=database, role=template.owner),
            app_role=template.app.name,
            owner_role=template.owner.name,
        )

    async def drop(self, database: FreshDatabase) -> None:
        """Drop it, whoever is still connected."""
        await drop_test_database(self._admin_url, database=database.name)

    async def close(self) -> None:
        """Drop the templates and their roles."""
        for template in self._templates.values():
            await drop_test_database(
                self._admin_url,
                database=template.database,
                roles=(template.app.name, template.owner.name),
            )
        self._templates.clear()

    async def _template(self, name: str, script_location: Path | None) -> _Template:
        key = (name, script_location)
        if key not in self._templates:
            self._templates[key] = await self._make_template(name, script_location)
        return self._templates[key]

    async def _make_template(self, name: str, script_location: Path | None) -> _Template:
        base = f"{TEST_PREFIX}{name}_{secrets.token_hex(6)}"
        template = _Template(
            database=f"{base}_template",
            owner=Role(f"{base}_owner", secrets.token_urlsafe(16)),
            app=Role(f"{base}_app", secrets.token_urlsafe(16)),
        )
        try:
            await provision(
                self._admin_url,
                database=template.database,
                owner=template.owner,
                app=template.app,
            )
            if script_location is not None:
                await self._migrate(template, script_location)
        except BaseException:
            with contextlib.suppress(Exception):
                await self._discard(template)
            raise
        return template

    async def _migrate(self, template: _Template, script_location: Path) -> None:
        url = database_url(self._admin_url, database=template.database, role=template.owner)
        await migrate(owner_url=url, script_location=script_location, app_role=template.app.name)

    async def _discard(self, template: _Template) -> None:
        await drop_test_database(
            self._admin_url,
            database=template.database,
            roles=(template.app.name, template.owner.name),
        )
