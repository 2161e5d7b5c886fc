"""A connection while somebody has it: in a transaction or not, and how it goes back to the pool."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from types import TracebackType
from typing import TypeVar

from sqlalchemy import PoolProxiedConnection

from chassis.absence import MAYBE_AWAY, AwayByName
from chassis.pooling import Pool, discard, driver_of

T = TypeVar("T")


class Taken:
    """A connection out of the pool; `_open` from before a BEGIN until after its end.

    *patience* (seconds) is for a ROLLBACK.
    """

    def __init__(self, pool: Pool, pooled: PoolProxiedConnection, *, patience: float) -> None:
        self.pooled = pooled
        self.driver = driver_of(pooled)
        self._pool = pool
        self._patience = patience
        self._open = self._abandoned = False

    @property
    def is_open(self) -> bool:
        """Say whether a transaction must be rolled back before anybody else may have it."""
        return self._open and not self._abandoned

    async def begin(self) -> None:
        """Begin a transaction. Raises DatabaseUnavailable."""
        self._open = True
        with AwayByName():
            await self.driver.execute("BEGIN")

    async def commit(self) -> bool:
        """Commit; say whether PostgreSQL did or rolled back. Raises DatabaseUnavailable."""
        with AwayByName():
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

    async def roll_back(self) -> None:
        """Roll back what was not committed, if PostgreSQL is there to do it."""
        # The driver's own timeout begins only when it has sent the statement.
        with suppress(*MAYBE_AWAY):
            async with asyncio.timeout(self._patience):
                await self.driver.execute("ROLLBACK")
            self._open = False

    def give_back(self) -> None:
        """Return it to the pool, which opens another in place of one nobody else may have."""
        if self._open or self._abandoned:
            discard(self.pooled)
        else:
            self._pool.give_back(self.pooled)


class Taking(AbstractAsyncContextManager[T]):
    """Takes a connection for a block, and gives it back whatever happens.

    The block gets what *seen* makes of it. One that is left in a transaction goes to *roll_back*.
    A generator would do this for twice the price.
    """

    def __init__(
        self,
        pool: Pool,
        seen: Callable[[Taken], T],
        roll_back: Callable[[Taken], Awaitable[None]],
        *,
        patience: float,
    ) -> None:
        self._pool = pool
        self._seen = seen
        self._roll_back = roll_back
        self._patience = patience

    async def __aenter__(self) -> T:
        """Wait for a connection. Raises DatabaseUnavailable."""
        with AwayByName():
            pooled = await self._pool.take()
        self._taken = Taken(self._pool, pooled, patience=self._patience)
        return self._seen(self._taken)

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Give it back, or end it when its holder was cancelled."""
        if isinstance(error, asyncio.CancelledError | GeneratorExit):
            self._taken.abandon()
        if self._taken.is_open:
            await self._roll_back(self._taken)
        else:
            self._taken.give_back()
