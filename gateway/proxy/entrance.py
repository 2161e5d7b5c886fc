"""The way to an upstream for whoever does not wait (`gateway.fast_path`)."""

from chassis.http1.connection import Connection
from chassis.http1.connections import Connections
from gateway.proxy.addresses import Addresses, note
from gateway.proxy.begun import Begun
from gateway.proxy.slots import Slots


class Entrance:
    """Begins and ends exchanges with one upstream, for the routes of one bulkhead."""

    def __init__(
        self, slots: Slots, addresses: Addresses, connections: Connections, bulkhead: str | None
    ) -> None:
        self._slots = slots
        self._addresses = addresses
        self._connections = connections
        self._bulkhead = bulkhead

    def begin(self) -> Begun | None:
        """Begin an exchange where nothing has to be waited for; None when something has.

        Its connection is kept from before and is to be asked, or None: then one is to be opened.
        """
        if not self._slots.take():
            return None
        found = self._addresses.find()
        if found is None:
            self._slots.give_back()
            return None
        return Begun(self._slots, found, self._connections.find(found[0].origin, self._bulkhead))

    def end(self, begun: Begun, connection: Connection, status: int) -> None:
        """End an exchange whose answer was taken whole."""
        address, passage = begun.found
        note(status, address, passage, own=False)
        self._connections.keep(connection, address.origin, self._bulkhead)
        self._slots.give_back()
