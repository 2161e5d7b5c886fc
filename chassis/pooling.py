"""The pool of connections under a Database: SQLAlchemy's, bounded, and smaller when it is quiet."""

import time
from datetime import timedelta
from typing import Any
from weakref import WeakSet

import sqlalchemy as sa
from sqlalchemy.exc import DisconnectionError

IDLE_FOR = timedelta(minutes=5)

# Ours end a little before the server's: a connection is never taken while the server closes it.
_OURS_FIRST = 0.8
_IDLE_SINCE = "gatehouse_idle_since"


def open_engine(
    url: str, *, pool_min: int, pool_max: int, timeout: float, idle_for: timedelta = IDLE_FOR
) -> sa.Engine:
    """Return an engine of at most *pool_max* connections, opened when they are needed.

    Who waits longer than *timeout* seconds for one gets SQLAlchemy's TimeoutError. Opening one
    costs ten times what it is opened for, so they are kept; of those beyond *pool_min*, PostgreSQL
    closes what nobody has used *idle_for*. The last one used is the next one taken.

    Each statement commits by itself: a transaction is whatever says BEGIN on the driver's
    connection, ends it there, and gives the connection back outside of one. The dialect is an
    asynchronous one: what may wait for the network is called in a `greenlet_spawn`.
    """
    engine = sa.create_engine(
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
    _Extras(engine.pool, pool_min, idle_for)
    return engine


class _Extras:
    """Gives an end to connections beyond *keep*, and replaces those that have come to theirs."""

    def __init__(self, pool: Any, keep: int, idle_for: timedelta) -> None:
        self._keep = keep
        self._kept = WeakSet[Any]()
        self._idle_for = idle_for
        sa.event.listen(pool, "connect", self._opened)
        sa.event.listen(pool, "checkin", self._given_back)
        sa.event.listen(pool, "checkout", self._taken)

    def _opened(self, connection: Any, record: Any) -> None:
        # A record outlives its connections: what it opens anew is as lasting as before.
        if record in self._kept or len(self._kept) < self._keep:
            self._kept.add(record)
            return
        milliseconds = int(self._idle_for.total_seconds() * 1000)
        # Not a statement of the dialect's own: those are prepared, and this one is said once.
        connection.run_async(
            lambda driver: driver.execute(f"SET idle_session_timeout = {milliseconds}")
        )

    def _given_back(self, _connection: Any, record: Any) -> None:
        record.info[_IDLE_SINCE] = time.monotonic()

    def _taken(self, connection: Any, record: Any, _proxy: object) -> None:
        """Replace a connection that is closed, which asyncpg knows, or might be any moment."""
        if connection.driver_connection.is_closed() or self._is_spent(record):
            raise DisconnectionError

    def _is_spent(self, record: Any) -> bool:
        if record in self._kept:
            return False
        idle = time.monotonic() - record.info.get(_IDLE_SINCE, time.monotonic())
        return bool(idle > self._idle_for.total_seconds() * _OURS_FIRST)
