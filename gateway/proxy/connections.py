"""Connections to upstreams, kept alive; aiohttp remembers for ten seconds where a name leads.

How many there are is bounded by `Slots`, so that nothing here waits for a connection: the connect
timeout counts the name, TCP and TLS alone.
"""

from contextvars import ContextVar
from typing import Any
from weakref import WeakSet

import aiohttp

# Below the idle time of common servers: a request on a connection they close is lost.
_KEEP_ALIVE_SECONDS = 4.0
_HEADER_BYTES = 32 * 1024
# aiohttp would add these of its own where the client sent none.
_NOT_OURS_TO_ADD = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
_reused: ContextVar[bool] = ContextVar("reused", default=False)


def was_reused() -> bool:
    """Say whether the last connection this task was given had served a request before."""
    return _reused.get()


class Connections:
    """The sessions of the HTTP client: one per bulkhead, and one that keeps no connection."""

    def __init__(self) -> None:
        self._kept: dict[str | None, aiohttp.ClientSession] = {}
        self._fresh: aiohttp.ClientSession | None = None

    def kept(self, bulkhead: str | None) -> aiohttp.ClientSession:
        """Return the session of a bulkhead, that of everybody else for None."""
        session = self._kept.get(bulkhead)
        if session is None:
            session = self._kept[bulkhead] = _session(_Connector(_KEEP_ALIVE_SECONDS))
        return session

    def fresh(self) -> aiohttp.ClientSession:
        """Return a session whose every request has a new connection."""
        if self._fresh is None:
            self._fresh = _session(aiohttp.TCPConnector(limit=0, force_close=True))
        return self._fresh

    async def close(self) -> None:
        """Close every connection."""
        for session in (*self._kept.values(), self._fresh):
            if session is not None:
                await session.close()
        self._kept.clear()
        self._fresh = None


class _Connector(aiohttp.TCPConnector):
    """Tells its caller (`was_reused`) whether a connection is new."""

    def __init__(self, keep_alive: float) -> None:
        super().__init__(limit=0, keepalive_timeout=keep_alive)
        self._known: WeakSet[object] = WeakSet()

    async def connect(self, *arguments: Any, **options: Any) -> aiohttp.connector.Connection:
        """Get a connection as aiohttp does."""
        _reused.set(False)
        connection = await super().connect(*arguments, **options)
        if connection.protocol in self._known:
            _reused.set(True)
        elif connection.protocol is not None:
            self._known.add(connection.protocol)
        return connection


def _session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    session = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=_NOT_OURS_TO_ADD,
        max_line_size=_HEADER_BYTES,
        max_field_size=_HEADER_BYTES,
    )
    # What is sent twice is decided and counted here; there is no public switch.
    session._retry_connection = False  # noqa: SLF001 - as above
    return session
