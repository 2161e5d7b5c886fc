"""Connections to servers: opened within a time, kept for a while, the last used given out first.

How many there are is for the caller to bound, so that nothing here waits for a connection: the time
to connect counts the name, TCP and TLS alone.
"""

import asyncio
import ssl
from collections.abc import Sequence
from functools import cached_property

from chassis.http1.connection import Connection
from chassis.http1.names import Names, Origin
from chassis.http1.trouble import CannotConnect, ConnectTimedOut

_SWEEP_SECONDS = 1.0

_Key = tuple[Origin, str | None]


class Connections:
    """Connections kept *keep* seconds, by server and by what they are kept apart for.

    *keep* is below the idle time of the servers: a request on a connection they close is lost.
    """

    def __init__(self, *, keep: float = 4.0) -> None:
        self._keep = keep
        self._names = Names()
        self._open: set[Connection] = set()
        self._idle: dict[_Key, list[Connection]] = {}
        self._sweeping: asyncio.TimerHandle | None = None

    def find(self, origin: Origin, bulkhead: str | None) -> Connection | None:
        """Return a kept connection, or None."""
        kept = self._idle.get((origin, bulkhead))
        if not kept:
            return None
        while kept:
            connection = kept.pop()
            if connection.usable and connection.idle_seconds <= self._keep:
                return connection
            connection.close()
        return None

    async def open(self, origin: Origin, *, within: float) -> Connection:
        """Return a new connection, *within* so many seconds.

        Raises CannotConnect, ConnectTimedOut.
        """
        try:
            async with asyncio.timeout(within):
                return await self._to_one_of(await self._names.find(origin), origin, within)
        except TimeoutError:
            raise ConnectTimedOut from None
        except (OSError, UnicodeError) as error:
            raise CannotConnect(str(error)) from error

    def keep(self, connection: Connection, origin: Origin, bulkhead: str | None) -> None:
        """Keep a connection whose exchange is over."""
        connection.rest()
        self._idle.setdefault((origin, bulkhead), []).append(connection)
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._sweep)

    async def close(self) -> None:
        """Close every connection."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        self._idle.clear()
        for connection in tuple(self._open):
            connection.close()
        await asyncio.sleep(0)  # the loop tells them that they have ended

    async def _to_one_of(self, hosts: Sequence[str], origin: Origin, within: float) -> Connection:
        """Try one after the other; each may take its share of the time that is left."""
        loop = asyncio.get_running_loop()
        until = loop.time() + within
        for left, host in zip(range(len(hosts), 1, -1), hosts, strict=False):
            try:
                async with asyncio.timeout((until - loop.time()) / left):
                    return await self._connect(host, origin)
            except OSError:  # TimeoutError is one
                continue
        return await self._connect(hosts[-1], origin)

    async def _connect(self, host: str, origin: Origin) -> Connection:
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(self._open.discard),
            host,
            origin.port,
            ssl=self._tls if origin.secure else None,
            server_hostname=origin.host if origin.secure else None,
        )
        if connection.usable:  # else it has told already that it ended
            self._open.add(connection)
        return connection

    def _sweep(self) -> None:
        """Close what was not used for so long; the longest unused come first."""
        loop = asyncio.get_running_loop()
        for key, kept in tuple(self._idle.items()):
            fresh = [one for one in kept if one.usable and one.idle_seconds <= self._keep]
            for connection in set(kept).difference(fresh):
                connection.close()
            kept[:] = fresh
            if not fresh:
                del self._idle[key]
        self._sweeping = loop.call_later(_SWEEP_SECONDS, self._sweep) if self._idle else None

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.hostname_checks_common_name = False  # RFC 9525 §2
        context.set_alpn_protocols(["http/1.1"])
        return context
