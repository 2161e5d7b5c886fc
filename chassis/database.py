"""PostgreSQL as every service uses it: one pool, one kind of transaction, one error when away."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from chassis.errors import Unavailable

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

# Classes of SQLSTATE that say "not now" rather than "you are wrong": connection exceptions,
# insufficient resources, operator intervention (shutdown, crash recovery).
_AWAY_SQLSTATES = ("08", "53", "57")


# What SQLAlchemy raises, and what the driver does on its own connection (a statement out of time
# is an OSError).
_MAYBE_AWAY = (
    DBAPIError,
    PoolTimeoutError,
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
)


class DatabaseUnavailable(Unavailable):
    """PostgreSQL cannot be reached, is shutting down, or has no connection to spare."""

    code = "database_unavailable"
    title = "The service cannot reach its database right now."


class LostTransactionError(RuntimeError):
    """A statement failed and the block went on as if nothing had happened."""


MOMENT = sa.DateTime(timezone=True)
"""The type of every column that holds a point in time."""


def metadata() -> sa.MetaData:
    """Return an empty MetaData with the project's constraint names."""
    return sa.MetaData(naming_convention=NAMING_CONVENTION)


class Transaction:
    """One open transaction: executes statements, and remembers what to do once it is committed.

    It cannot commit: only the `async with database.transaction()` that opened it does.
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._after_commit: list[Callable[[], None]] = []
        self._driver: asyncpg.Connection | None = None
        self.failed = False

    async def execute(
        self, statement: sa.Executable, parameters: Any = None
    ) -> sa.CursorResult[Any]:
        """Run one statement and return its buffered result. Raises DatabaseUnavailable."""
        with self._watched():
            return await self._connection.execute(statement, parameters)

    async def scalar(self, statement: sa.Executable, parameters: Any = None) -> Any:
        """Run one statement and return the first column of its first row, or None.

        Raises DatabaseUnavailable.
        """
        with self._watched():
            return await self._connection.scalar(statement, parameters)

    async def driver(self) -> asyncpg.Connection:
        """Return the asyncpg connection inside this transaction, for hot statements."""
        if self._driver is None:
            with self._watched():
                raw = await self._connection.get_raw_connection()
                # SQLAlchemy opens the transaction lazily on its first own statement.
                await self._connection.exec_driver_sql("SELECT 1")
                self._driver = raw.driver_connection
        return self._driver

    async def fetch_row(self, sql: str, *arguments: Any) -> asyncpg.Record | None:
        """Run one hot statement on the driver's connection and return its first row, or None.

        Raises DatabaseUnavailable.
        """
        connection = await self.driver()
        with self._watched():
            return await connection.fetchrow(sql, *arguments)

    def after_commit(self, action: Callable[[], None]) -> None:
        """Call *action* (quick, not raising) once the transaction is committed."""
        self._after_commit.append(action)

    def committed(self) -> None:
        """Run what waited for the commit; called by Database alone."""
        for action in self._after_commit:
            action()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Remember that a statement failed: PostgreSQL would answer a commit with a rollback."""
        try:
            with _away_by_name():
                yield
        except Exception:
            self.failed = True
            raise


class Database:
    """A bounded pool of connections to one database.

    *pool_min* connections are kept, at most *pool_max* are open; who waits longer than *timeout*
    seconds for one, or for a statement, gets DatabaseUnavailable.
    """

    def __init__(
        self, url: str, *, pool_min: int = 5, pool_max: int = 20, timeout: float = 5.0
    ) -> None:
        self._timeout = timeout
        self._engine = _engine(url, pool_min=pool_min, pool_max=pool_max, timeout=timeout)

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()

    async def ping(self) -> None:
        """Ask for one round trip. Raises DatabaseUnavailable."""
        async with self.transaction() as tx:
            await tx.execute(sa.text("SELECT 1"))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Open a transaction; commit when the block ends well, else roll back.

        Raises DatabaseUnavailable when PostgreSQL is away at any moment up to the commit. A commit
        whose answer is lost may have happened.
        """
        with _away_by_name():
            connection = await self._engine.connect()
        try:
            tx = Transaction(connection)
            try:
                yield tx
            except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                # A hot statement on the driver's own connection.
                if not is_away(error):
                    raise
                raise DatabaseUnavailable(retry_after=1) from error
            if tx.failed:
                raise LostTransactionError
            with _away_by_name():
                await connection.commit()
        finally:
            # Rolls back what was not committed; a lost connection has nothing to roll back.
            await asyncio.shield(_give_back(connection))
        tx.committed()


@contextmanager
def _away_by_name() -> Iterator[None]:
    try:
        yield
    except _MAYBE_AWAY as error:
        if not is_away(error):
            raise
        raise DatabaseUnavailable(retry_after=1) from error


async def _give_back(connection: AsyncConnection) -> None:
    with suppress(DBAPIError, OSError):
        await connection.close()


def is_away(error: BaseException) -> bool:
    """Say whether *error* means that PostgreSQL is not there, rather than a wrong statement."""
    if isinstance(error, PoolTimeoutError | OSError | asyncio.TimeoutError):
        return True
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    original = getattr(error, "orig", None) or error
    cause = original.__cause__ or original
    if isinstance(cause, OSError | TimeoutError):
        return True
    if isinstance(cause, asyncpg.InterfaceError) and "connection" in str(cause):
        return not isinstance(cause, asyncpg.exceptions.DataError)
    state = getattr(cause, "sqlstate", None) or ""
    return state.startswith(_AWAY_SQLSTATES)


def _engine(url: str, *, pool_min: int, pool_max: int, timeout: float) -> AsyncEngine:
    engine = create_async_engine(
        url,
        pool_size=pool_min,
        max_overflow=max(0, pool_max - pool_min),
        pool_timeout=timeout,
        pool_use_lifo=True,
        hide_parameters=True,
        connect_args={"timeout": timeout, "command_timeout": timeout},
    )
    sa.event.listen(engine.sync_engine, "checkout", _refuse_closed)
    return engine


def _refuse_closed(connection: Any, _record: object, _proxy: object) -> None:
    """Replace a connection the server has closed; asyncpg knows without a round trip."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError
