"""The pool of connections under a Database: SQLAlchemy's, bounded, and smaller when it is quiet."""

import time
from datetime import timedelta
from typing import Any
from weakref import WeakSet

import asyncpg
import sqlalchemy as sa
from sqlalchemy import PoolProxiedConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.util import greenlet_spawn

IDLE_FOR = timedelta(minutes=5)

# Ours end a little before the server's: a connection is never taken while the server closes it.
_OURS_FIRST = 0.8
_IDLE_SINCE = "gatehouse_idle_since"
_LASTING = "gatehouse_lasting"


class Pool:
    """At most *pool_max* connections, opened when they are needed.

    Who waits longer than *timeout* seconds for one gets SQLAlchemy's TimeoutError. Opening one
    costs ten times what it is opened for, so they are kept; of those beyond *pool_min*, PostgreSQL
    closes what nobody has used *idle_for*. The last one used is the next one taken.

    Between two uses a connection stays at hand, taken out of SQLAlchemy's pool, whose way out and
    in again costs as much as three statements; it goes back there when somebody waits for one.
    """

    def __init__(
        self, url: str, *, pool_min: int, pool_max: int, timeout: float, idle_for: timedelta
    ) -> None:
        self.engine = _open_engine(url, pool_max=pool_max, timeout=timeout)
        self._extras = _Extras(self.engine.pool, pool_min, idle_for)
        self._at_hand: list[PoolProxiedConnection] = []
        self._asking = 0
        self._closed = False

    async def take(self) -> PoolProxiedConnection:
        """Return a connection that nobody else has. Raises what `chassis.absence` names."""
        while self._at_hand:
            pooled = self._at_hand.pop()
            if not self._extras.is_spent(driver_of(pooled), pooled):
                return pooled
            discard(pooled)
        self._asking += 1
        try:
            return await greenlet_spawn(self.engine.raw_connection)
        finally:
            self._asking -= 1

    def give_back(self, pooled: PoolProxiedConnection) -> None:
        """Take a connection back that is outside a transaction and that its holder trusts."""
        if self._closed:
            discard(pooled)
        elif self._asking or not pooled.is_valid:
            pooled.close()
        else:
            pooled.info[_IDLE_SINCE] = time.monotonic()
            self._at_hand.append(pooled)

    async def close(self) -> None:
        """Close every connection that nobody holds; the others are closed as they come back."""
        self._closed = True
        while self._at_hand:
            self._at_hand.pop().close()
        await greenlet_spawn(self.engine.dispose)


def driver_of(pooled: PoolProxiedConnection) -> asyncpg.Connection:
    """Return the driver's own connection."""
    driver: Any = pooled.driver_connection
    return driver


def discard(pooled: PoolProxiedConnection) -> None:
    """Close a connection at once; SQLAlchemy's pool may open another in its place."""
    if pooled.is_valid:  # SQLAlchemy may have noticed that it is gone
        driver_of(pooled).terminate()
        pooled.invalidate()
    pooled.close()


def _open_engine(url: str, *, pool_max: int, timeout: float) -> sa.Engine:
    """Return an engine whose statements commit each by itself.

    A transaction is whatever says BEGIN on the driver's connection, ends it there, and gives the
    connection back outside of one. The dialect is an asynchronous one: what may wait for the
    network is called in a `greenlet_spawn`.
    """
    return sa.create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=pool_max,
        max_overflow=0,
        pool_timeout=timeout,
        pool_use_lifo=True,
        pool_reset_on_return=None,
        hide_parameters=True,
        connect_args={"timeout": timeout, "command_timeout": timeout},
    )


class _Extras:
    """Gives an end to connections beyond *keep*, and replaces those that have come to theirs."""

    def __init__(self, pool: Any, keep: int, idle_for: timedelta) -> None:
        self._keep = keep
        self._kept = WeakSet[Any]()
        self._idle_for = idle_for
        sa.event.listen(pool, "connect", self._opened)
        sa.event.listen(pool, "checkin", self._given_back)
        sa.event.listen(pool, "checkout", self._taken)

    def is_spent(self, driver: asyncpg.Connection, entry: Any) -> bool:
        """Say whether a connection is closed, which asyncpg knows, or might be any moment."""
        if driver.is_closed():
            return True
        if _LASTING in entry.record_info:
            return False
        idle = time.monotonic() - entry.info.get(_IDLE_SINCE, time.monotonic())
        return bool(idle > self._idle_for.total_seconds() * _OURS_FIRST)

    def _opened(self, connection: Any, record: Any) -> None:
        # A record outlives its connections: what it opens anew is as lasting as before.
        if record in self._kept or len(self._kept) < self._keep:
            self._kept.add(record)
            record.record_info[_LASTING] = True
            return
        milliseconds = int(self._idle_for.total_seconds() * 1000)
        # Not a statement of the dialect's own: those are prepared, and this one is said once.
        connection.run_async(
            lambda driver: driver.execute(f"SET idle_session_timeout = {milliseconds}")
        )

    def _given_back(self, _connection: Any, record: Any) -> None:
        record.info[_IDLE_SINCE] = time.monotonic()

    def _taken(self, connection: Any, record: Any, _proxy: object) -> None:
        if self.is_spent(connection.driver_connection, record):
            raise DisconnectionError
