"""Who asks, as far as the connection and the proxies in front tell: worked out once for many."""

from functools import lru_cache

from chassis.networks import Address
from gateway.address import ClientAddresses, limit_key
from gateway.proxy.headers import OutgoingHeaders

_REMEMBERED = 4096


class Caller:
    """A client's address, what is counted by it, and the lines that tell an upstream of it."""

    __slots__ = ("address", "key", "lines")

    def __init__(self, address: Address, headers: OutgoingHeaders) -> None:
        self.address = address
        self.key = limit_key(address)
        self.lines = b"".join([b"%b: %b\r\n" % header for header in headers.forwarded(address)])


class Callers:
    """Finds the caller by the peer and the one X-Forwarded-For of a request."""

    def __init__(self, addresses: ClientAddresses, headers: OutgoingHeaders) -> None:
        @lru_cache(_REMEMBERED)
        def find(peer: str, forwarded_for: bytes | None) -> Caller:
            told = () if forwarded_for is None else (forwarded_for.decode("latin-1"),)
            return Caller(addresses.find(peer, told), headers)

        self.find = find
