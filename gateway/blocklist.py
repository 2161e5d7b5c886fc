"""The blocked networks in memory: whether an address is inside one, in a few look-ups (D26)."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from chassis.clock import Clock
from chassis.logs import get_logger
from chassis.networks import Address, plain_network
from contracts.internal import IpBlock

_BITS = {4: 32, 6: 128}
log = get_logger(__name__)

_Key = tuple[int, int, int]
"""IP version, prefix length, and the bits of the prefix as a number."""


class BlockList:
    """Blocks by network and by id; each ends by itself at its `expires_at`.

    One look-up per prefix length in use answers for all networks of that length. Of two blocks of
    the same network the newer counts.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ends: dict[_Key, tuple[UUID, datetime | None]] = {}
        self._keys: dict[UUID, _Key] = {}
        self._lengths: dict[int, tuple[int, ...]] = {4: (), 6: ()}

    def __len__(self) -> int:
        return len(self._ends)

    def covers(self, address: Address) -> bool:
        """Say whether *address* is blocked now; an IPv4 address must not come in IPv6 clothes."""
        if not self._ends:
            return False
        version, number = address.version, int(address)
        for length in self._lengths[version]:
            found = self._ends.get((version, length, number >> (_BITS[version] - length)))
            if found is not None and (found[1] is None or self._clock.now() < found[1]):
                return True
        return False

    def replace(self, blocks: Iterable[IpBlock]) -> None:
        """Know exactly *blocks* from now on."""
        known = self._keys
        self._ends, self._keys, self._lengths = {}, {}, {4: (), 6: ()}
        for block in blocks:
            # A block keeps its network for life: only those that are new have to be read.
            self._put(block, known.get(block.block_id) or _key_of(block))

    def add(self, block: IpBlock) -> None:
        """Know *block* too."""
        self._put(block, _key_of(block))

    def remove(self, block_id: UUID) -> None:
        """Forget the block with this id; one that is not known is not missed."""
        key = self._keys.pop(block_id, None)
        if key is not None:
            del self._ends[key]

    def _put(self, block: IpBlock, key: _Key | None) -> None:
        if key is None:
            return
        older = self._ends.get(key)
        if older is not None:
            del self._keys[older[0]]
        self._ends[key] = (block.block_id, block.expires_at)
        self._keys[block.block_id] = key
        version, length, _ = key
        if length not in self._lengths[version]:
            self._lengths[version] = (*self._lengths[version], length)


def _key_of(block: IpBlock) -> _Key | None:
    """Return where *block* stands; None when this version does not understand its network."""
    try:
        network = plain_network(block.cidr)
    except ValueError:
        log.warning("ip_block.not_understood", block_id=str(block.block_id))
        return None
    bits = _BITS[network.version] - network.prefixlen
    return network.version, network.prefixlen, int(network.network_address) >> bits
