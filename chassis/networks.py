"""Addresses and networks as operators and proxies write them."""

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

# The widest networks that can be one operator's own: 10.0.0.0/8 and fc00::/7.
_WIDEST_V4 = 8
_WIDEST_V6 = 7
_MAPPED_PREFIX = 96


def parse_networks(text: str) -> tuple[Network, ...]:
    """Read a comma separated list of addresses and CIDR blocks, IPv4 ones in their own form.

    Raises ValueError for `*` and for blocks so wide that strangers are inside.
    """
    networks = []
    for part in filter(None, [part.strip() for part in text.split(",")]):
        try:
            network = plain_network(part)
        except ValueError:
            raise ValueError(f"{part!r} is not an address or CIDR block") from None
        if network.prefixlen < (_WIDEST_V4 if network.version == 4 else _WIDEST_V6):  # noqa: PLR2004 - IPv4
            raise ValueError(f"{part!r} is too wide: anybody could choose an address")
        networks.append(network)
    return tuple(networks)


def plain_address(text: str) -> Address:
    """Return one address, an IPv4 address written as IPv6 (`::ffff:192.0.2.1`) in its own form.

    Raises ValueError, also for an address with the zone of one link.
    """
    address = ip_address(text)
    if isinstance(address, IPv6Address):
        if address.scope_id:
            raise ValueError("an address of one link has no meaning here")
        return address.ipv4_mapped or address
    return address


def plain_network(text: str) -> Network:
    """Return one address or CIDR block, an IPv4 one written as IPv6 in its own form.

    Raises ValueError, also for bits set behind the prefix and for a zone.
    """
    network = ip_network(text)
    if isinstance(network, IPv4Network):
        return network
    if network.network_address.scope_id:
        raise ValueError("an address of one link has no meaning here")
    mapped = network.network_address.ipv4_mapped
    if mapped is None or network.prefixlen < _MAPPED_PREFIX:
        return network
    return IPv4Network((mapped, network.prefixlen - _MAPPED_PREFIX))
