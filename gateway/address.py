"""Who the client is when proxies stand in front (D19).

Forwarding headers are believed only from a peer inside `TRUSTED_PROXIES`, and only as far as the
chain of trusted hops reaches.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Network

from chassis.networks import Address, Network, plain_address

_UNKNOWN = IPv4Address(0)
_MAX_HOPS = 32
_LONGEST = 64  # a whole IPv6 address with brackets and port has 47
_REMEMBERED = 4096
_V6_CLIENT_PREFIX = 64
_V4_WITH_PORT = re.compile(r"([0-9.]+):[0-9]{1,5}")
_V6_BRACKETED = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?")


def parse_address(text: str) -> Address | None:
    """Return the address one hop names, with or without a port, or None for anything else."""
    text = text.strip()
    return _parsed(text) if len(text) <= _LONGEST else None


@lru_cache(_REMEMBERED)
def _parsed(text: str) -> Address | None:
    match = _V4_WITH_PORT.fullmatch(text) or _V6_BRACKETED.fullmatch(text)
    try:
        return plain_address(match[1] if match else text)
    except ValueError:
        return None


@lru_cache(_REMEMBERED)
def text_of(address: Address) -> str:
    """Return *address* as it is written."""
    return str(address)


@lru_cache(_REMEMBERED)
def limit_key(address: Address) -> str:
    """Return what limits count: the IPv4 address, or the /64 an IPv6 client chooses from."""
    if isinstance(address, IPv4Address):
        return text_of(address)
    network = IPv6Network((address, _V6_CLIENT_PREFIX), strict=False)
    return str(network)


class ClientAddresses:
    """Finds the client's address behind the proxies that are trusted."""

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = tuple(trusted)

    def find(self, peer: str | None, forwarded_for: Sequence[str]) -> Address:
        """Return the client of a request from *peer*.

        *forwarded_for* are the values of all X-Forwarded-For headers, in order. The walk goes from
        the right to the first address that is not trusted; garbage ends it at the last good hop.
        """
        current = parse_address(peer or "") or _UNKNOWN
        if not forwarded_for:
            return current
        hops = [hop for value in forwarded_for for hop in value.split(",")]
        for hop in reversed(hops[-_MAX_HOPS:]):
            if not self.trusts(current):
                return current
            address = parse_address(hop)
            if address is None:
                return current
            current = address
        return current

    def trusts(self, address: Address) -> bool:
        """Say whether *address* is one of the trusted proxies."""
        return any(address in network for network in self._trusted)
