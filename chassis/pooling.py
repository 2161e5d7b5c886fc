"""The pool of connections under a Database: kept while they are in demand, closed when not."""

import time
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

_WINDOW_SECONDS = 30.0


class Demand:
    """How many connections are open, and how many were needed at once lately.

    Opening one costs ten times what it is opened for, so those beyond *keep* stay open until a
    whole window of *seconds* has passed in which they were not needed. *now* returns seconds.
    """

    def __init__(
        self,
        *,
        keep: int,
        seconds: float = _WINDOW_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.open = 0
        self._keep = keep
        self._seconds = seconds
        self._now = now
        self._in_use = self._peak = 0
        self._needed: int | None = None
        self._window_ends = now() + seconds

    def take(self) -> None:
        """Note that one is taken."""
        self._look_at_the_time()
        self._in_use += 1
        self._peak = max(self._peak, self._in_use)

    def give_back(self) -> bool:
        """Note that one is given back; say whether nobody has needed it lately."""
        self._look_at_the_time()
        self._in_use -= 1
        if self._needed is None:
            return False
        return self.open > max(self._keep, self._needed, self._peak)

    def _look_at_the_time(self) -> None:
        if self._now() >= self._window_ends:
            self._needed, self._peak = self._peak, self._in_use
            self._window_ends = self._now() + self._seconds


def open_engine(url: str, demand: Demand, *, pool_max: int, timeout: float) -> AsyncEngine:
    """Return the engine of a pool of at most *pool_max* connections, counted by *demand*.

    Whoever takes a connection says BEGIN and COMMIT on the driver's own: the engine commits each
    statement by itself and never stands in between.
    """
    engine = create_async_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=pool_max,
        max_overflow=0,
        pool_timeout=timeout,
        pool_use_lifo=True,
        hide_parameters=True,
        connect_args={"timeout": timeout, "command_timeout": timeout},
    )

    def opened(*_: Any) -> None:
        demand.open += 1

    def closed(*_: Any) -> None:
        demand.open -= 1

    sa.event.listen(engine.sync_engine, "connect", opened)
    sa.event.listen(engine.sync_engine, "close", closed)
    sa.event.listen(engine.sync_engine, "checkout", _refuse_closed)
    return engine


def _refuse_closed(connection: Any, _record: object, _proxy: object) -> None:
    """Replace a connection the server has closed; asyncpg knows without a round trip."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError
