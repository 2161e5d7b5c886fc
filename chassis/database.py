"""PostgreSQL as every service uses it: one pool, one kind of transaction, one error when away."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from datetime import timedelta
from functools import cached_property
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy.util import greenlet_spawn

from chassis.absence import AwayByName, DatabaseUnavailable, is_away
from chassis.pooling import IDLE_FOR, Pool
from chassis.taken import Taken, Taking

__all__ = [
    "MOMENT",
    "NAMING_CONVENTION",
    "Database",
    "DatabaseUnavailable",
    "LostTransactionError",
    "Named",
    "Statements",
    "Transaction",
    "metadata",
]

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class LostTransactionError(RuntimeError):
    """A statement failed and the block went on as if nothing had happened."""


MOMENT = sa.DateTime(timezone=True)
"""The type of every column that holds a point in time."""


def metadata() -> sa.MetaData:
    """Return an empty MetaData with the project's constraint names."""
    return sa.MetaData(naming_convention=NAMING_CONVENTION)


class Named:
    """A driver's record whose columns are attributes, as those of SQLAlchemy's rows are."""

    def __init__(self, record: Mapping[str, Any]) -> None:
        self._record = record

    def __getattr__(self, name: str) -> Any:
        return self._record[name]


class Statements:
    """Hot statements on the driver's connection."""

    def __init__(self, driver: asyncpg.Connection) -> None:
        self._driver = driver

    @staticmethod
    def on(taken: Taken) -> "Statements":
        """Return those on a connection that was taken."""
        return Statements(taken.driver)

    async def fetch_row(self, sql: str, *arguments: Any) -> asyncpg.Record | None:
        """Run one statement and return its first row, or None. Raises DatabaseUnavailable."""
        with self._watched():
            return await self._driver.fetchrow(sql, *arguments)

    async def fetch_rows(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """Run one statement and return all its rows. Raises DatabaseUnavailable."""
        with self._watched():
            rows: list[asyncpg.Record] = await self._driver.fetch(sql, *arguments)
        return rows

    def _watched(self) -> AbstractContextManager[None]:
        return AwayByName()


class Transaction(Statements):
    """One open transaction: executes statements, and remembers what to do once it is committed.

    It cannot commit: only the `async with database.transaction()` that opened it does.
    """

    def __init__(self, engine: sa.Engine, taken: Taken) -> None:
        super().__init__(taken.driver)
        self._engine = engine
        self._taken = taken
        self._after_commit: list[Callable[[], None]] = []
        self.failed = False

    async def execute(
        self, statement: sa.Executable, parameters: Any = None
    ) -> sa.CursorResult[Any]:
        """Run one statement and return its buffered result. Raises DatabaseUnavailable."""
        with self._watched():
            return await greenlet_spawn(self._core.execute, statement, parameters)

    async def scalar(self, statement: sa.Executable, parameters: Any = None) -> Any:
        """Run one statement and return the first column of its first row, or None.

        Raises DatabaseUnavailable.
        """
        with self._watched():
            return await greenlet_spawn(self._core.scalar, statement, parameters)

    async def driver(self) -> asyncpg.Connection:
        """Return the asyncpg connection inside this transaction, for hot statements."""
        return self._driver

    def after_commit(self, action: Callable[[], None]) -> None:
        """Call *action* (quick, not raising) once the transaction is committed."""
        self._after_commit.append(action)

    def committed(self) -> None:
        """Run what waited for the commit; called by Database alone."""
        for action in self._after_commit:
            action()

    @cached_property
    def _core(self) -> sa.Connection:
        """Return SQLAlchemy's view of the connection; hot statements never need it."""
        return sa.Connection(self._engine, self._taken.pooled)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Remember that a statement failed: PostgreSQL would answer a commit with a rollback."""
        try:
            with AwayByName():
                yield
        except Exception:
            self.failed = True
            raise


class Database:
    """A bounded pool of connections to one database.

    At most *pool_max* connections are open; those beyond *pool_min* are closed when nobody has
    used them *idle_for*. Who waits longer than *timeout* seconds for one, or for a statement,
    gets DatabaseUnavailable.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_min: int = 5,
        pool_max: int = 20,
        timeout: float = 5.0,
        idle_for: timedelta = IDLE_FOR,
    ) -> None:
        self._timeout = timeout
        self._pool = Pool(
            url, pool_min=pool_min, pool_max=pool_max, timeout=timeout, idle_for=idle_for
        )
        self._returning: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Close every connection; those on their way back are waited for."""
        if self._returning:
            await asyncio.wait(self._returning)
        await self._pool.close()

    async def ping(self) -> None:
        """Ask for one round trip. Raises DatabaseUnavailable."""
        async with self.statements() as each:
            await each.fetch_row("SELECT 1")

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Open a transaction; commit when the block ends well, else roll back.

        Raises DatabaseUnavailable when PostgreSQL is away at any moment up to the commit. A commit
        whose answer is lost may have happened.
        """
        async with self._taken() as taken:
            await taken.begin()
            tx = Transaction(self._pool.engine, taken)
            try:
                yield tx
            except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                # A hot statement on the driver's own connection.
                if not is_away(error):
                    raise
                raise DatabaseUnavailable(retry_after=1) from error
            if tx.failed:
                raise LostTransactionError
            if not await taken.commit():
                raise LostTransactionError
        tx.committed()

    def statements(self) -> AbstractAsyncContextManager[Statements]:
        """Give a connection on which each statement is a transaction of its own.

        Raises DatabaseUnavailable.
        """
        return Taking(self._pool, Statements.on, self._rolled_back, patience=self._timeout)

    def _taken(self) -> AbstractAsyncContextManager[Taken]:
        """Take a connection out of the pool, and give it back whatever happens."""
        return Taking(self._pool, _itself, self._rolled_back, patience=self._timeout)

    async def _rolled_back(self, taken: Taken) -> None:
        """Give it back after a ROLLBACK, which goes on when whoever held it is cancelled."""

        async def roll_back() -> None:
            try:
                await taken.roll_back()
            finally:
                taken.give_back()

        returning = asyncio.create_task(roll_back())
        self._returning.add(returning)  # `close` waits for it
        returning.add_done_callback(self._returning.discard)
        await asyncio.shield(returning)


def _itself(taken: Taken) -> Taken:
    return taken
