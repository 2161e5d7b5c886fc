"""What the fast path has begun, for the slow path to go on with (`gateway.fast_path`)."""

from chassis.http1.connection import Connection
from gateway.proxy.addresses import Found
from gateway.proxy.slots import Slots


class Begun:
    """A slot that is held, an address with leave to ask it, and the connection it was asked on.

    That is None where none was kept: then nobody was asked yet. As an asynchronous context it is
    the slot, and closes a connection that nobody has gone on with.
    """

    __slots__ = ("_slots", "connection", "found")

    def __init__(self, slots: Slots, found: Found, connection: Connection | None) -> None:
        self._slots = slots
        self.found = found
        self.connection = connection

    async def __aenter__(self) -> None:
        """Hold the slot that is held already."""

    async def __aexit__(self, *_: object) -> None:
        """Give the slot back."""
        self.drop()
        self._slots.give_back()

    def claim(self) -> Connection | None:
        """Return the connection that has the request, once: from then on it is the caller's."""
        connection, self.connection = self.connection, None
        return connection

    def drop(self) -> None:
        """Close the connection, unless somebody has claimed it: nobody was asked over it."""
        connection = self.claim()
        if connection is not None:
            connection.close()
