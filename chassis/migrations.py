"""Alembic in process: one service's tree, run by its owner role, safe to run twice at once.

A service's `migrations/env.py` is four lines: a docstring, the import of `run_env`, and its call.
Its files are named `versions/NNNN_pre_….py` (runs before the new code) or `NNNN_post_….py` (after
the old code is gone). A migration asks `app_role()` whom to grant rights to.
"""

import asyncio
import logging
import re
import threading
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command, context, op
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

ADVISORY_LOCK = 0x67617465_0002

_CONNECT_SECONDS = 10.0
_WAIT_FOR_OTHER_MIGRATOR = "300s"
_WAIT_FOR_TABLE = "10s"  # a migration that waits longer for a table would block its readers
_FILE_NAME = re.compile(r"^\d{4}_(pre|post)_[a-z0-9_]+\.py$")

# Alembic's `op` and `context` are globals of the process: two migrations at once mix them up.
_one_at_a_time = threading.Lock()


class MigrationError(RuntimeError):
    """A migration tree that cannot be run; the message says why."""


async def migrate(
    *,
    owner_url: str,
    script_location: Path,
    app_role: str,
    advisory_lock: int = ADVISORY_LOCK,
    target: str = "head",
) -> None:
    """Bring the database of *owner_url* (`postgresql+asyncpg://…`) up to *target*.

    *script_location* is the service's `migrations` folder; *app_role* the role that its migrations
    grant rights to. Whoever holds *advisory_lock* (of this database) migrates, others wait and then
    find nothing to do. Raises MigrationError, and what the database or a migration raises.
    """
    check_names(script_location)
    config = Config()
    config.set_main_option("script_location", str(script_location).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes.update(app_role=app_role)
    await asyncio.to_thread(_in_turn, owner_url, config, advisory_lock, target)


def run_env(metadata: sa.MetaData | None = None) -> None:
    """Be the body of a service's `migrations/env.py`.

    *metadata* is wanted only by `alembic revision --autogenerate`.
    """
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=metadata,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def app_role() -> str:
    """Return, inside a migration, the quoted name of the role the service works with."""
    bound = op.get_context()
    if bound.config is None:
        raise MigrationError("app_role() is for migrations that chassis.migrations.migrate runs")
    name: str = bound.config.attributes["app_role"]
    return bound.dialect.identifier_preparer.quote_identifier(name)


def check_names(script_location: Path) -> None:
    """Hold every file of the tree to `NNNN_pre_….py` or `NNNN_post_….py`. Raises MigrationError."""
    versions = script_location / "versions"
    if not versions.is_dir():
        raise MigrationError(f"{versions} does not exist: a tree is env.py and versions/")
    for path in sorted(versions.glob("*.py")):
        if not _FILE_NAME.match(path.name):
            raise MigrationError(f"{path} must be named NNNN_pre_name.py or NNNN_post_name.py")


async def find_drift(url: str, metadata: sa.MetaData) -> list[Any]:
    """Return Alembic's differences between the database of *url* and *metadata*.

    Partitions are passed over: they are data of their parent table, not a model.
    """
    engine = _engine(url)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(_compare, metadata)
    finally:
        await engine.dispose()


async def check_no_drift(url: str, metadata: sa.MetaData) -> None:
    """Assert that the migrated database of *url* equals the models. Raises AssertionError."""
    differences = await find_drift(url, metadata)
    if differences:
        lines = "\n".join(f"  {difference}" for difference in differences)
        raise AssertionError(f"the migrations and the models differ:\n{lines}")


def _in_turn(owner_url: str, config: Config, advisory_lock: int, target: str) -> None:
    """Run one migration in this thread, on an event loop of its own."""
    with _one_at_a_time:
        asyncio.run(_upgrade(owner_url, config, advisory_lock, target))


async def _upgrade(owner_url: str, config: Config, advisory_lock: int, target: str) -> None:
    engine = _engine(owner_url)
    try:
        async with engine.connect() as connection:
            await connection.execute(
                sa.text("SELECT set_config('lock_timeout', :wait, false)"),
                {"wait": _WAIT_FOR_OTHER_MIGRATOR},
            )
            await connection.execute(
                sa.text("SELECT pg_advisory_lock(:lock)"), {"lock": advisory_lock}
            )
            await connection.execute(
                sa.text("SELECT set_config('lock_timeout', :wait, false)"),
                {"wait": _WAIT_FOR_TABLE},
            )
            # The lock belongs to the session, not to the transaction that ends here: Alembic opens
            # one per migration, and the connection's end releases the lock.
            await connection.commit()
            await connection.run_sync(_run_alembic, config, target)
            await connection.run_sync(_show_version, config.attributes["app_role"])
            await connection.commit()
    finally:
        await engine.dispose()


def _run_alembic(connection: sa.Connection, config: Config, target: str) -> None:
    config.attributes["connection"] = connection
    logging.getLogger("alembic").setLevel(logging.WARNING)
    command.upgrade(config, target)


def _show_version(connection: sa.Connection, role: str) -> None:
    """Let the app role see where the database stands: its readiness depends on it."""
    quoted = connection.dialect.identifier_preparer.quote_identifier(role)
    connection.execute(sa.text(f"GRANT SELECT ON alembic_version TO {quoted}"))


def _compare(connection: sa.Connection, metadata: sa.MetaData) -> list[Any]:
    partitions = set(
        connection.scalars(sa.text("SELECT relname FROM pg_class WHERE relispartition"))
    )

    def of_models(name: str | None, kind: str, parents: Any) -> bool:
        table = name if kind == "table" else parents.get("table_name")
        return table not in partitions

    options = {
        "compare_type": True,
        "compare_server_default": True,
        "include_name": of_models,
    }
    bound = MigrationContext.configure(connection, opts=options)
    return list(compare_metadata(bound, metadata))


def _engine(url: str) -> AsyncEngine:
    return create_async_engine(
        url, poolclass=sa.NullPool, connect_args={"timeout": _CONNECT_SECONDS}
    )
