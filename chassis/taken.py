"""A connection while somebody has it: in a transaction or not, and how it goes back to the pool."""

import asyncio
from contextlib import suppress

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.absence import MAYBE_AWAY, away_by_name


class Taken:
    """A connection out of the pool; `_open` from before a BEGIN until after its end.

    *patience* (seconds) is for a ROLLBACK.
    """

    def __init__(
        self, connection: AsyncConnection, driver: asyncpg.Connection, *, patience: float
    ) -> None:
        self.connection = connection
        self.driver = driver
        self._patience = patience
        self._open = self._abandoned = False

    async def begin(self) -> None:
        """Begin a transaction. Raises DatabaseUnavailable."""
        self._open = True
        with away_by_name():
            await self.driver.execute("BEGIN")

    async def commit(self) -> bool:
        """Commit; say whether PostgreSQL did or rolled back. Raises DatabaseUnavailable."""
        with away_by_name():
            answer = await self.driver.execute("COMMIT")
        self._open = False
        return bool(answer == "COMMIT")

    def abandon(self) -> None:
        """Close it at once: a statement may run there that nobody waits for any more.

        Rolling back would have to wait until PostgreSQL has been asked, over another connection,
        to stop it; when a loop is about to end, that may never be.
        """
        self._abandoned = True
        self.driver.terminate()

    async def give_back(self) -> None:
        """Return it to the pool outside any transaction, or close it when that cannot be."""
        with suppress(DBAPIError, OSError):
            if self._abandoned or (self._open and not await self._rolled_back()):
                self.driver.terminate()
                await self.connection.invalidate()
            await self.connection.close()

    async def _rolled_back(self) -> bool:
        """Roll back what was not committed; say whether the connection is good for others."""
        try:
            # The driver's own timeout begins only when it has sent the statement.
            async with asyncio.timeout(self._patience):
                await self.driver.execute("ROLLBACK")
        except MAYBE_AWAY:
            return False
        return True
