"""The pool of connections under a Database: kept at hand while in demand, closed when not."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

_WINDOW_SECONDS = 30.0


class Demand:
    """How many connections were needed at once lately.

    It looks at whole windows of *seconds*; *now* returns seconds.
    """

    def __init__(
        self, *, seconds: float = _WINDOW_SECONDS, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds = seconds
        self._now = now
        self._in_use = self._peak = 0
        self._before: int | None = None
        self._window_ends = now() + seconds

    def take(self) -> None:
        """Note that one is taken."""
        self._look_at_the_time()
        self._in_use += 1
        self._peak = max(self._peak, self._in_use)

    def give_back(self) -> None:
        """Note that one is given back."""
        self._look_at_the_time()
        self._in_use -= 1

    def covers(self, at_hand: int) -> bool:
        """Say whether *at_hand* more than those in use have been needed, or might be."""
        if self._before is None:
            return True
        return self._in_use + at_hand <= max(self._before, self._peak)

    def _look_at_the_time(self) -> None:
        if self._now() >= self._window_ends:
            self._before, self._peak = self._peak, self._in_use
            self._window_ends = self._now() + self._seconds


@dataclass(frozen=True, slots=True)
class Held:
    """A connection taken out of the pool, and the driver's own under it."""

    connection: AsyncConnection
    driver: asyncpg.Connection


class Pool:
    """Connections of *engine*, those in demand at hand.

    Opening one costs ten times what it is opened for, and handing one to the engine and back half
    as much: so whatever was needed at once lately stays with us, and only the rest goes to the
    engine, which keeps its least number and closes what is beyond.
    """

    def __init__(self, engine: AsyncEngine, demand: Demand) -> None:
        self._engine = engine
        self._demand = demand
        self._at_hand: list[Held] = []
        self._waiting = 0

    async def take(self) -> Held:
        """Return a connection that is open, as far as is known; raises what the engine raises."""
        while self._at_hand:
            held = self._at_hand.pop()
            if not held.driver.is_closed():
                self._demand.take()
                return held
            await _drop(held.connection)
        held = await self._open()
        self._demand.take()
        return held

    async def give_back(self, held: Held, *, broken: bool) -> None:
        """Take a connection back, which is outside any transaction; a *broken* one is closed."""
        self._demand.give_back()
        if broken:
            await _drop(held.connection)
        elif self._waiting or not self._demand.covers(len(self._at_hand) + 1):
            await held.connection.close()
        else:
            self._at_hand.append(held)

    async def close(self) -> None:
        """Close every connection."""
        while self._at_hand:
            await self._at_hand.pop().connection.close()
        await self._engine.dispose()

    async def _open(self) -> Held:
        self._waiting += 1
        try:
            connection = await self._engine.connect()
        finally:
            self._waiting -= 1
        try:
            driver: Any = (await connection.get_raw_connection()).driver_connection
        except BaseException:
            await asyncio.shield(_drop(connection))
            raise
        return Held(connection, driver)


def open_pool(url: str, *, pool_min: int, pool_max: int, timeout: float) -> Pool:
    """Return a pool of at most *pool_max* connections; who waits longer than *timeout* is told.

    Whoever takes a connection says BEGIN and COMMIT on the driver's own: the engine commits each
    statement by itself and never stands in between.
    """
    engine = create_async_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=pool_min,
        max_overflow=max(0, pool_max - pool_min),
        pool_timeout=timeout,
        pool_use_lifo=True,
        hide_parameters=True,
        connect_args={"timeout": timeout, "command_timeout": timeout},
    )
    sa.event.listen(engine.sync_engine, "checkout", _refuse_closed)
    return Pool(engine, Demand())


async def _drop(connection: AsyncConnection) -> None:
    """Close for good."""
    with suppress(DBAPIError, OSError):
        await connection.invalidate()
    with suppress(DBAPIError, OSError):
        await connection.close()


def _refuse_closed(connection: Any, _record: object, _proxy: object) -> None:
    """Replace a connection the server has closed; asyncpg knows without a round trip."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError
