"""Who the client is when proxies stand in front (D19).

Forwarding headers are believed only from a peer inside `TRUSTED_PROXIES`, and only as far as the
chain of trusted hops reaches.
"""

import re
from collections.abc import Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_UNKNOWN = IPv4Address(0)
_MAX_HOPS = 32
_V6_CLIENT_PREFIX = 64
# The widest networks that can be one operator's own: 10.0.0.0/8 and fc00::/7.
_WIDEST_V4 = 8
_WIDEST_V6 = 7
_V4_WITH_PORT = re.compile(r"([0-9.]+):[0-9]{1,5}")
_V6_BRACKETED = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?")


def parse_networks(text: str) -> tuple[Network, ...]:
    """Read a comma separated list of addresses and CIDR blocks.

    Raises ValueError for `*` and for blocks so wide that strangers are inside.
    """
    networks = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        try:
            network = ip_network(part)
        except ValueError:
            raise ValueError(f"{part!r} is not an address or CIDR block") from None
        if network.prefixlen < (_WIDEST_V4 if network.version == 4 else _WIDEST_V6):  # noqa: PLR2004 - IPv4
            raise ValueError(f"{part!r} is too wide: anybody could choose an address")
        networks.append(network)
    return tuple(networks)


def parse_address(text: str) -> Address | None:
    """Return the address one hop names, with or without a port, or None for anything else."""
    text = text.strip()
    match = _V4_WITH_PORT.fullmatch(text) or _V6_BRACKETED.fullmatch(text)
    try:
        return _plain(ip_address(match[1] if match else text))
    except ValueError:
        return None


def limit_key(address: Address) -> str:
    """Return what limits count: the IPv4 address, or the /64 an IPv6 client chooses from."""
    if isinstance(address, IPv4Address):
        return str(address)
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
        hops = [hop for value in forwarded_for for hop in value.split(",")]
        for hop in reversed(hops[-_MAX_HOPS:]):
            if not self._trusts(current):
                return current
            address = parse_address(hop)
            if address is None:
                return current
            current = address
        return current

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def _plain(address: Address) -> Address:
    """Return an IPv4 address written as IPv6 (`::ffff:192.0.2.1`) in its own form."""
    if isinstance(address, IPv6Address):
        if address.scope_id:
            raise ValueError("an address of one link has no meaning here")
        return address.ipv4_mapped or address
    return address
