"""What may be blocked, and for how long (D26)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Literal
from uuid import UUID

from chassis.networks import Address, Network, plain_address, plain_network

Cause = Literal["admin", "detection"]

MAX_BLOCKS = 20_000
"""How many there may be: every gateway holds and reads them all."""

LONGEST = timedelta(days=3660)

_WIDEST = {4: 8, 6: 16}
_V6_CLIENT_PREFIX = 64
_NEVER_AUTOMATIC: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "::/127",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2001::/32",
        "fc00::/7",
        "fe80::/10",
    )
)
"""Unspecified, loopback, private, shared (RFC 6598), link-local, and IPv4 within IPv6 (RFC 6052,
8215, 4380), where one /64 holds everybody: who stands there is the operator's own, or many."""


class NotBlockableError(ValueError):
    """The text names no network that may be blocked; `code` says why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class IpBlock:
    """Requests from `network` are refused until `expires_at` (None: until lifted)."""

    id: UUID
    network: Network
    cause: Cause
    reason: str
    created_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A block somebody asks for; `force` lets it cover the asker's own address."""

    network: Network
    reason: str
    expires_at: datetime | None
    force: bool


def parse_block(text: str) -> Network:
    """Read what to block: an address or a CIDR block, v4 in v6 clothes in its own form.

    Raises NotBlockableError when it is neither, or wider than IPv4 /8 or IPv6 /16: one slip of
    the pen must not shut out the world.
    """
    try:
        network = plain_network(text)
    except ValueError:
        raise NotBlockableError(
            "cidr", "An address or a CIDR block without bits behind its prefix is wanted."
        ) from None
    if network.prefixlen < _WIDEST[network.version]:
        raise NotBlockableError("too_wide", "Nothing wider than IPv4 /8 or IPv6 /16 is blocked.")
    return network


def covers(network: Network, client_address: str | None) -> bool:
    """Say whether *client_address* is inside *network*; what is no address is nowhere."""
    try:
        return client_address is not None and plain_address(client_address) in network
    except ValueError:
        return False


def automatic_network(address: Address) -> Network:
    """Return what a detection blocks: the IPv4 address, or the /64 an IPv6 client chooses from."""
    if address.version == 4:  # noqa: PLR2004 - IPv4
        return IPv4Network(address)
    return IPv6Network((int(address), _V6_CLIENT_PREFIX), strict=False)


def may_block_automatically(network: Network, protected: Sequence[Network]) -> bool:
    """Say whether *network* has nothing in common with what only a person may block.

    *protected* are the operator's own: TRUSTED_PROXIES and IP_ALLOWLIST.
    """
    return not any(_overlap(network, other) for other in (*_NEVER_AUTOMATIC, *protected))


def _overlap(one: Network, other: Network) -> bool:
    if isinstance(one, IPv4Network):
        return isinstance(other, IPv4Network) and one.overlaps(other)
    return isinstance(other, IPv6Network) and one.overlaps(other)
