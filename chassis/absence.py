"""When a database is away, and the one error that says so."""

import asyncio
from types import TracebackType

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from chassis.errors import Unavailable

# Classes of SQLSTATE that say "not now" rather than "you are wrong": connection exceptions,
# insufficient resources, operator intervention (shutdown, crash recovery).
_AWAY_SQLSTATES = ("08", "53", "57")

# What SQLAlchemy raises, and what the driver does on its own connection (a statement out of time
# is an OSError).
MAYBE_AWAY = (
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


class AwayByName:
    """Turns what says that PostgreSQL is away into DatabaseUnavailable."""

    def __enter__(self) -> None:
        """Watch the block; a generator would do this for three times the price."""

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Raise DatabaseUnavailable in place of what was raised because of it."""
        if isinstance(error, MAYBE_AWAY) and is_away(error):
            raise DatabaseUnavailable(retry_after=1) from error


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
