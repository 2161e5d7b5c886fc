"""Provisioning: a database of its own for each service, with two roles, on every PostgreSQL."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import asyncpg
import pytest
import sqlalchemy as sa

from chassis.provisioning import (
    TEST_PREFIX,
    ProvisioningError,
    Role,
    admin_connection,
    database_url,
    drop_test_database,
    provision,
    quote_identifier,
)
from chassis.testing.servers import PostgresServer


@dataclass(frozen=True)
class Names:
    """What one test provisions."""

    admin_url: str
    database: str
    owner: Role
    app: Role

    async def provision(self) -> None:
        """Provision it."""
        await provision(self.admin_url, database=self.database, owner=self.owner, app=self.app)

    async def run(self, role: Role, statement: str) -> object:
        """Run a statement as *role* and return its first value."""
        url = database_url(self.admin_url, database=self.database, role=role)
        async with admin_connection(url) as connection:
            return await connection.fetchval(statement)


@pytest.fixture
async def names(each_postgres: PostgresServer) -> AsyncIterator[Names]:
    """Give names nobody has, hostile to careless quoting, and drop them afterwards."""
    base = f'{TEST_PREFIX}{secrets.token_hex(4)} "Odd"; --'
    given = Names(
        admin_url=each_postgres.admin_url,
        database=base,
        owner=Role(f"{base} owner", "o'w@n/e%r\""),
        app=Role(f"{base} app", "app-password"),
    )
    yield given
    roles = (given.app.name, given.owner.name)
    await drop_test_database(given.admin_url, database=given.database, roles=roles)


class TestProvision:
    """Making a database and its roles."""

    async def test_the_owner_owns_and_the_app_looks(self, names: Names) -> None:
        """The owner may make tables; the app may connect and sees what it was granted."""
        await names.provision()

        await names.run(names.owner, "CREATE TABLE notes (id int)")
        await names.run(names.owner, f"GRANT SELECT ON notes TO {quote_identifier(names.app.name)}")
        assert await names.run(names.app, "SELECT count(*) FROM notes") == 0

    @pytest.mark.parametrize(
        "forbidden",
        [
            "CREATE TABLE mine (id int)",
            "CREATE SCHEMA mine",
            "CREATE TEMPORARY TABLE mine (id int)",
            "SELECT * FROM notes",
            "SELECT answer()",
            "CREATE ROLE mine",
        ],
    )
    async def test_the_app_may_nothing_else(self, names: Names, forbidden: str) -> None:
        """Without a grant, tables and functions of the owner are closed to the app."""
        await names.provision()
        await names.run(names.owner, "CREATE TABLE notes (id int)")
        await names.run(
            names.owner, "CREATE FUNCTION answer() RETURNS int LANGUAGE sql AS 'SELECT 42'"
        )

        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await names.run(names.app, forbidden)

    async def test_strangers_may_not_connect(self, names: Names) -> None:
        """A role of another service is refused at the door."""
        await names.provision()
        stranger = Role(f"{TEST_PREFIX}{secrets.token_hex(4)}", "password")
        other = replace(names, database=stranger.name, owner=stranger)
        await other.provision()

        try:
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="CONNECT"):
                await names.run(stranger, "SELECT 1")
        finally:
            await drop_test_database(
                names.admin_url, database=stranger.name, roles=(stranger.name,)
            )

    async def test_again_changes_only_the_passwords(self, names: Names) -> None:
        """A second run keeps the data and sets the passwords it was given."""
        await names.provision()
        await names.run(names.owner, "CREATE TABLE notes AS SELECT 7 AS id")
        renewed = replace(names, owner=replace(names.owner, password="another"))

        await renewed.provision()

        assert await renewed.run(renewed.owner, "SELECT id FROM notes") == 7
        with pytest.raises(asyncpg.InvalidPasswordError):
            await names.run(names.owner, "SELECT 1")

    async def test_several_at_once(self, names: Names) -> None:
        """Services that start together do not collide."""
        await asyncio.gather(*(names.provision() for _ in range(4)))

        assert await names.run(names.app, "SELECT current_user") == names.app.name

    async def test_no_password_reaches_the_server(self, names: Names) -> None:
        """Passwords travel as SCRAM verifiers, so that a logged statement holds none."""
        await names.provision()

        async with admin_connection(names.admin_url) as admin:
            stored = await admin.fetchval(
                "SELECT rolpassword FROM pg_authid WHERE rolname = $1", names.owner.name
            )
        assert stored.startswith("SCRAM-SHA-256$4096:")

    async def test_an_administrator_need_not_be_superuser(self, names: Names) -> None:
        """CREATEDB and CREATEROLE are enough, as with hosted databases."""
        admin = Role(f"{TEST_PREFIX}{secrets.token_hex(4)}_admin", "password")
        async with admin_connection(names.admin_url) as superuser:
            name = quote_identifier(admin.name)
            await superuser.execute(
                f"CREATE ROLE {name} LOGIN CREATEDB CREATEROLE PASSWORD '{admin.password}'"
            )
        url = database_url(names.admin_url, database="postgres", role=admin)

        limited = replace(names, admin_url=url)
        await limited.provision()
        await limited.provision()

        await names.run(names.owner, "CREATE TABLE notes (id int)")
        roles = (names.app.name, names.owner.name, admin.name)
        await drop_test_database(names.admin_url, database=names.database, roles=roles)


class TestRefusal:
    """What cannot be provisioned."""

    @pytest.mark.parametrize("name", ["", "x" * 64, "ü" * 32, "pg_own", "zero\0"])
    def test_names_postgresql_cannot_have(self, name: str) -> None:
        """A name is 1 to 63 bytes and not of the system."""
        with pytest.raises(ProvisioningError):
            Role(name, "password")

    @pytest.mark.parametrize("password", ["", "pässword", "new\nline"])
    def test_passwords_that_need_preparation(self, password: str) -> None:
        """Only printable ASCII has one form."""
        with pytest.raises(ProvisioningError, match="printable"):
            Role("identity_owner", password)

    def test_a_role_does_not_print_its_password(self) -> None:
        """A role may stand in a log line."""
        assert "secret-word" not in repr(Role("identity_app", "secret-word"))

    async def test_a_superusers_name(self, postgres: PostgresServer) -> None:
        """The superuser never becomes a service's role."""
        superuser = sa.make_url(postgres.admin_url).username or ""

        with pytest.raises(ProvisioningError, match="superuser"):
            await provision(
                postgres.admin_url,
                database=f"{TEST_PREFIX}never",
                owner=Role(superuser, "password"),
                app=Role(f"{TEST_PREFIX}never", "password"),
            )

    @pytest.mark.parametrize("roles", [(), ("identity_owner",)])
    async def test_dropping_what_is_not_a_tests(
        self, postgres: PostgresServer, roles: tuple[str, ...]
    ) -> None:
        """Only names of tests can be dropped."""
        database = f"{TEST_PREFIX}none" if roles else "identity"

        with pytest.raises(ProvisioningError, match="not a test's"):
            await drop_test_database(postgres.admin_url, database=database, roles=roles)
