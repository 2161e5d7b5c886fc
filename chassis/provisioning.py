"""Databases and roles: each service owns one database, with an owner role and an app role.

The owner role owns the database and its schema and runs the migrations. The app role may connect
and look into the schema; what it may do with a table, the migrations grant.
"""

import base64
import hashlib
import hmac
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg
import sqlalchemy as sa

TEST_PREFIX = "gatehouse_test_"

_CONNECT_SECONDS = 10.0
_STATEMENT_SECONDS = 60.0
_NAME_BYTES = 63
_SCRAM_ITERATIONS = 4096
# One provisioner at a time per server: concurrent CREATE ROLE statements collide in the catalogue.
_PROVISIONING_LOCK = 0x67617465_0001


class ProvisioningError(RuntimeError):
    """A database or role cannot be made as asked; the message says what to change."""


@dataclass(frozen=True)
class Role:
    """A login role: its name and its password."""

    name: str
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        quote_identifier(self.name)
        if not (self.password.isascii() and self.password.isprintable() and self.password):
            # Beyond ASCII, SCRAM would need SASLprep (RFC 5802 §2.2).
            raise ProvisioningError(f"the password of {self.name} must be printable ASCII")


async def provision(admin_url: str, *, database: str, owner: Role, app: Role) -> None:
    """Make the database and both roles, or bring existing ones to this state and these passwords.

    Whoever stands in *admin_url* needs CREATEDB and CREATEROLE. May be called again at any time,
    also by several at once. Raises ProvisioningError.
    """
    async with admin_connection(admin_url) as connection:
        await connection.execute("SELECT pg_advisory_lock($1)", _PROVISIONING_LOCK)
        await ensure_role(connection, owner)
        await ensure_role(connection, app)
        await _join(connection, owner)
        await _ensure_database(connection, database, owner)
        await restrict_database(connection, database, app)
    async with admin_connection(admin_url, database=database) as connection:
        await connection.execute("SELECT pg_advisory_lock($1)", _PROVISIONING_LOCK)
        await _own_schema(connection, owner, app)


async def drop_test_database(admin_url: str, *, database: str, roles: Iterable[str] = ()) -> None:
    """Drop a database, with its connections, and *roles* that own nothing else; gone ones are fine.

    Refuses every name that does not start with `gatehouse_test_`. Raises ProvisioningError.
    """
    names = [database, *roles]
    for name in names:
        if not name.startswith(TEST_PREFIX):
            raise ProvisioningError(f"{name} is not a test's: its name lacks {TEST_PREFIX}")
    async with admin_connection(admin_url) as connection:
        await connection.execute(f"DROP DATABASE IF EXISTS {quote_identifier(database)} (FORCE)")
        for name in names[1:]:
            await connection.execute(f"DROP ROLE IF EXISTS {quote_identifier(name)}")


def database_url(admin_url: str, *, database: str, role: Role) -> str:
    """Return the URL by which *role* reaches *database* with SQLAlchemy: a secret."""
    url = sa.make_url(admin_url).set(
        drivername="postgresql+asyncpg",
        username=role.name,
        password=role.password,
        database=database,
    )
    return url.render_as_string(hide_password=False)


@asynccontextmanager
async def admin_connection(
    admin_url: str, *, database: str | None = None
) -> AsyncIterator[asyncpg.Connection]:
    """Open a connection by *admin_url* (with or without `+asyncpg`), to *database* if given."""
    url = sa.make_url(admin_url).set(drivername="postgresql")
    if database is not None:
        url = url.set(database=database)
    connection = await asyncpg.connect(
        url.render_as_string(hide_password=False),
        timeout=_CONNECT_SECONDS,
        command_timeout=_STATEMENT_SECONDS,
    )
    try:
        yield connection
    finally:
        await connection.close(timeout=_CONNECT_SECONDS)


def quote_identifier(name: str) -> str:
    """Return *name* as SQL writes it. Raises ProvisioningError for what PostgreSQL cannot name."""
    size = len(name.encode())
    if not 0 < size <= _NAME_BYTES or "\0" in name or name.startswith("pg_"):
        raise ProvisioningError(f"{name!r} cannot name a database or role (1 to 63 bytes, no pg_)")
    return '"' + name.replace('"', '""') + '"'


async def ensure_role(connection: asyncpg.Connection, role: Role) -> None:
    """Make *role*, or set its password. Raises ProvisioningError for a superuser's name."""
    superuser = await connection.fetchval(
        "SELECT rolsuper FROM pg_roles WHERE rolname = $1", role.name
    )
    if superuser:
        raise ProvisioningError(f"{role.name} is a superuser: give the service a role of its own")
    verb = "CREATE" if superuser is None else "ALTER"
    # The verifier, not the password: a statement may end in the server's log.
    verifier = scram_verifier(role.password)
    await connection.execute(
        f"{verb} ROLE {quote_identifier(role.name)} LOGIN PASSWORD '{verifier}'"
    )


async def restrict_database(connection: asyncpg.Connection, database: str, app: Role) -> None:
    """Let nobody but its owner and *app* connect to *database*."""
    name = quote_identifier(database)
    await connection.execute(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
    await connection.execute(f"REVOKE ALL ON DATABASE {name} FROM {quote_identifier(app.name)}")
    await connection.execute(f"GRANT CONNECT ON DATABASE {name} TO {quote_identifier(app.name)}")


def scram_verifier(password: str) -> str:
    """Return what PostgreSQL stores of *password* (RFC 5802 §3, RFC 7677)."""
    salt = os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _SCRAM_ITERATIONS)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    salt64, stored64, server64 = (
        base64.b64encode(part).decode() for part in (salt, stored_key, server_key)
    )
    return f"SCRAM-SHA-256${_SCRAM_ITERATIONS}:{salt64}${stored64}:{server64}"


async def _join(connection: asyncpg.Connection, owner: Role) -> None:
    """Let an administrator that is no superuser hand things to *owner*: only members may."""
    if await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"):
        return
    # Since PostgreSQL 16 the maker of a role is a member that may not act as it, until told so.
    await connection.execute(f"GRANT {quote_identifier(owner.name)} TO CURRENT_USER")


async def _ensure_database(connection: asyncpg.Connection, database: str, owner: Role) -> None:
    name, owned_by = quote_identifier(database), quote_identifier(owner.name)
    if await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database):
        await connection.execute(f"ALTER DATABASE {name} OWNER TO {owned_by}")
        return
    await connection.execute(
        f"CREATE DATABASE {name} OWNER {owned_by} TEMPLATE template0 ENCODING 'UTF8'"
    )


async def _own_schema(connection: asyncpg.Connection, owner: Role, app: Role) -> None:
    owned_by, used_by = quote_identifier(owner.name), quote_identifier(app.name)
    await connection.execute(f"ALTER SCHEMA public OWNER TO {owned_by}")
    await connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    await connection.execute(f"REVOKE ALL ON SCHEMA public FROM {used_by}")
    await connection.execute(f"GRANT USAGE ON SCHEMA public TO {used_by}")
    # Functions are open to everybody by default: here a migration grants each one.
    await connection.execute(
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {owned_by} REVOKE EXECUTE ON ROUTINES FROM PUBLIC"
    )
