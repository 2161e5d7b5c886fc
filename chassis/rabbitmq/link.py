"""One connection to the broker, opened when somebody needs it and again when it was lost."""

import asyncio
from contextlib import suppress
from datetime import timedelta

import aio_pika
from aio_pika.abc import AbstractConnection
from yarl import URL

# Three missed ones end the connection: a silent partition is noticed within a minute.
_HEARTBEAT_SECONDS = 15
_CLOSE_SECONDS = 2


class Link:
    """A connection named *name*; *timeout* bounds the opening."""

    def __init__(self, url: str, *, name: str, timeout: timedelta) -> None:
        self._url = URL(url)
        if "heartbeat" not in self._url.query:
            self._url = self._url.update_query(heartbeat=str(_HEARTBEAT_SECONDS))
        self._name = name
        self._timeout = timeout.total_seconds()
        self._opening = asyncio.Lock()
        self._connection: AbstractConnection | None = None

    async def connection(self) -> AbstractConnection:
        """Return the open connection, opening it if need be.

        Raises OSError, TimeoutError or an AMQP error when the broker is away.
        """
        async with self._opening:
            if self._connection is None or not self._connection.connected.is_set():
                await self.drop()
                async with asyncio.timeout(self._timeout):
                    self._connection = await aio_pika.connect(
                        self._url,
                        timeout=self._timeout,
                        client_properties={"connection_name": self._name},
                    )
            return self._connection

    async def drop(self) -> None:
        """Close the connection, or let go of it when the broker does not answer."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        with suppress(Exception):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await connection.close()
