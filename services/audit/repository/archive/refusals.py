"""What the database may refuse an archiver, by name."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.exc import DBAPIError

from services.audit.domain.archive.errors import PostponedError

_NOT_NOW = {
    "23505": "another_archiver",
    "40P01": "table_in_use",
    "55000": "refused_by_database",
    "55P03": "table_in_use",
}


@asynccontextmanager
async def or_postponed() -> AsyncIterator[None]:
    """Give the database's "not like this" and "not now" their names. Raises PostponedError."""
    try:
        yield
    except DBAPIError as error:
        state = str(getattr(error.orig, "sqlstate", ""))
        if state not in _NOT_NOW:
            raise
        raise PostponedError(_NOT_NOW[state]) from error
