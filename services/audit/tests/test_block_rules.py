"""What may be blocked, and what a detection never blocks (D26)."""

from ipaddress import ip_address, ip_network

import pytest

from services.audit.domain.ip_blocks import (
    NotBlockableError,
    automatic_network,
    covers,
    may_block_automatically,
    parse_block,
)

OWN = (ip_network("203.0.113.0/28"), ip_network("2001:db8:1::/48"))


class TestParsing:
    """What an administrator writes."""

    @pytest.mark.parametrize(
        ("text", "network"),
        [
            ("203.0.113.7", "203.0.113.7/32"),
            ("203.0.113.0/24", "203.0.113.0/24"),
            ("2001:db8::1", "2001:db8::1/128"),
            ("2001:DB8:0::/48", "2001:db8::/48"),
            ("::ffff:203.0.113.7", "203.0.113.7/32"),
            ("::ffff:203.0.113.0/120", "203.0.113.0/24"),
        ],
    )
    def test_one_network_has_one_form(self, text: str, network: str) -> None:
        """IPv4 in IPv6 clothes is IPv4; an IPv6 prefix is kept as given."""
        assert str(parse_block(text)) == network

    @pytest.mark.parametrize(
        ("text", "code"),
        [
            ("203.0.113.7/24", "cidr"),
            ("203.0.113.256", "cidr"),
            ("fe80::1%eth0", "cidr"),
            ("example.com", "cidr"),
            ("203.0.113.7/33", "cidr"),
            ("0.0.0.0/0", "too_wide"),
            ("::/0", "too_wide"),
            ("128.0.0.0/7", "too_wide"),
            ("::ffff:0.0.0.0/96", "too_wide"),
        ],
    )
    def test_anything_else_is_refused(self, text: str, code: str) -> None:
        """Nobody shuts out the world by a slip."""
        with pytest.raises(NotBlockableError) as refused:
            parse_block(text)
        assert refused.value.code == code


class TestAutomaticBlocks:
    """What a detection may do by itself."""

    @pytest.mark.parametrize(
        "address",
        [
            *("127.0.0.1", "10.1.2.3", "172.31.0.1", "192.168.1.1", "169.254.1.1", "100.64.0.1"),
            *("::1", "fe80::1", "fd00::1", "0.0.0.0", "203.0.113.15", "2001:db8:1:2::3"),  # noqa: S104 - no listener
            *("64:ff9b::203.0.113.16", "64:ff9b:1::1", "2001:0:4136:e378::1"),
        ],
    )
    def test_never_touch_the_operators_own(self, address: str) -> None:
        """Loopback, private, shared, link-local, proxies, the allowlist, IPv4 behind IPv6."""
        assert not may_block_automatically(automatic_network(ip_address(address)), OWN)

    @pytest.mark.parametrize(
        ("address", "network"),
        [("203.0.113.16", "203.0.113.16/32"), ("2001:db8:2::7", "2001:db8:2::/64")],
    )
    def test_stop_a_stranger(self, address: str, network: str) -> None:
        """IPv4 by address, IPv6 by the /64 a client chooses from."""
        chosen = automatic_network(ip_address(address))
        assert str(chosen) == network
        assert may_block_automatically(chosen, OWN)

    def test_spare_a_network_with_a_protected_part(self) -> None:
        """One proxy inside protects the whole /64."""
        inside = ip_network("2001:db8:9::5/128")
        assert not may_block_automatically(ip_network("2001:db8:9::/64"), [inside])


class TestCovering:
    """Whose address is inside."""

    @pytest.mark.parametrize(
        ("address", "inside"),
        [
            ("203.0.113.7", True),
            ("::ffff:203.0.113.7", True),
            ("203.0.114.7", False),
            ("2001:db8::1", False),
            (None, False),
            ("unknown", False),
        ],
    )
    def test_knows_every_form(self, address: str | None, *, inside: bool) -> None:
        """Of one address, and no other."""
        assert covers(ip_network("203.0.113.0/24"), address) is inside
