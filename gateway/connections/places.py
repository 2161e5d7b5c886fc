"""Places for connections: so many for one peer, so many in all."""

from collections import OrderedDict
from typing import Protocol

from chassis.logs import get_logger
from gateway.address import ClientAddresses, limit_key, parse_address
from gateway.connections.metrics import ConnectionMetrics

# How many connections are looked at for one that does nothing, when all places are taken: enough to
# find one where there are some, and little work for each that knocks in vain.
_LOOKED_AT = 32
_log = get_logger(__name__)


class Held(Protocol):
    """A connection that has a place."""

    @property
    def is_idle(self) -> bool:
        """Whether it could be closed without anybody missing an answer."""
        ...

    def give_way(self) -> None:
        """Close it."""
        ...


class Places:
    """Counts the connections at one *door*: at most *most*, and *per_address* of one peer.

    IPv6 peers count by /64. Trusted proxies speak for many clients: only the total counts for them.
    """

    def __init__(
        self,
        door: str,
        *,
        most: int,
        per_address: int,
        peers: ClientAddresses,
        metrics: ConnectionMetrics,
    ) -> None:
        self._most = most
        self._per_address = per_address
        self._peers = peers
        # Each with whose it counts as, the oldest first; a plain dict is slow to find its first.
        self._held: OrderedDict[Held, str | None] = OrderedDict()
        self._counts: dict[str, int] = {}
        self._refused_peers: set[str] = set()
        self._is_full = False
        self._door = door
        self._metrics = metrics
        metrics.watch(door, lambda: len(self._held), most=most)

    def __len__(self) -> int:
        return len(self._held)

    def take(self, connection: Held, peer: str | None) -> bool:
        """Take a place for *connection*, if there is one for *peer*; None is a peer nobody knows.

        When all are taken, a connection that does nothing gives way.
        """
        key = self._key(peer)
        if key is not None and self._counts.get(key, 0) >= self._per_address:
            self._refuse_peer(key)
            return False
        if len(self._held) >= self._most and not self._make_room():
            self._refuse()
            return False
        self._held[connection] = key
        if key is not None:
            self._counts[key] = self._counts.get(key, 0) + 1
        return True

    def give_back(self, connection: Held) -> None:
        """Give the place of *connection* back; harmless when it has none any more."""
        if connection not in self._held:
            return
        key = self._held.pop(connection)
        if key is not None:
            self._discount(key)
        # Told again only when it has become better by more than a connection or two.
        if self._is_full and len(self._held) <= self._most * 9 // 10:
            self._is_full = False
            _log.info("connections.free_again", door=self._door)

    def _key(self, peer: str | None) -> str | None:
        address = parse_address(peer or "")
        if address is None or self._peers.trusts(address):
            return None
        return limit_key(address)

    def _discount(self, key: str) -> None:
        left = self._counts.pop(key) - 1
        if left:
            self._counts[key] = left
        if left <= self._per_address // 2 and key in self._refused_peers:
            self._refused_peers.discard(key)
            if not self._refused_peers:
                _log.info("connections.peers_within_limit_again", door=self._door)

    def _make_room(self) -> bool:
        """Close one of the oldest connections if it is idle; those that are not go to the end."""
        for _ in range(min(_LOOKED_AT, len(self._held))):
            connection = next(iter(self._held))
            if connection.is_idle:
                self.give_back(connection)
                connection.give_way()
                self._metrics.gave_way.labels(self._door).inc()
                return True
            self._held.move_to_end(connection)
        return False

    def _refuse_peer(self, key: str) -> None:
        self._metrics.refused.labels(self._door, "address").inc()
        if not self._refused_peers:
            _log.warning("connections.peer_refused", door=self._door, most=self._per_address)
        self._refused_peers.add(key)

    def _refuse(self) -> None:
        self._metrics.refused.labels(self._door, "total").inc()
        if not self._is_full:
            self._is_full = True
            _log.warning("connections.full", door=self._door, most=self._most)
