"""Who asks, as far as the connection and the proxies in front tell: worked out once for many."""

from functools import lru_cache

from chassis.http1.head import lines_of
from chassis.networks import Address
from gateway.address import ClientAddresses, limit_key
from gateway.proxy.headers import OutgoingHeaders

_REMEMBERED = 4096
_LONGEST = 256


class Caller:
    """A client's address, what is counted by it, and the lines that tell an upstream of it."""

    __slots__ = ("address", "key", "lines")

    def __init__(self, address: Address, headers: OutgoingHeaders) -> None:
        self.address = address
        self.key = limit_key(address)
        self.lines = lines_of(headers.forwarded(address))


class Callers:
    """Finds the caller by the peer and the one X-Forwarded-For of a request."""

    def __init__(self, addresses: ClientAddresses, headers: OutgoingHeaders) -> None:
        self._addresses = addresses
        self._headers = headers
        self._known = lru_cache(_REMEMBERED)(self._find)

    def find(self, peer: str, forwarded_for: bytes | None) -> Caller:
        """Return the caller; *peer* is the address at the other end of the connection."""
        is_short = forwarded_for is None or len(forwarded_for) <= _LONGEST
        return (self._known if is_short else self._find)(peer, forwarded_for)

    def _find(self, peer: str, forwarded_for: bytes | None) -> Caller:
        told = () if forwarded_for is None else (forwarded_for.decode("latin-1"),)
        return Caller(self._addresses.find(peer, told), self._headers)
