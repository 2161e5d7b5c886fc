"""The client's address behind proxies (D19)."""

from ipaddress import ip_address

import pytest

from chassis.networks import parse_networks
from gateway.address import ClientAddresses, limit_key, parse_address

TRUSTED = parse_networks("10.0.0.0/8, 127.0.0.1/32, fd00::/8")


class TestTrustedProxies:
    """Reading TRUSTED_PROXIES."""

    def test_is_empty_by_default(self) -> None:
        """Nobody is believed."""
        assert parse_networks("") == ()

    def test_knows_ipv4_in_ipv6_clothes(self) -> None:
        """Clients are compared in their own form, and so is what is trusted or spared."""
        assert parse_networks("::ffff:10.1.2.0/120") == parse_networks("10.1.2.0/24")

    @pytest.mark.parametrize(
        "text",
        [
            *("*", "0.0.0.0/0", "::/0", "0.0.0.0/1", "2000::/3", "::ffff:0.0.0.0/96"),
            *("10.0.0.1/8", "proxy", "10.0.0.0/8 ,x", "fe80::1%eth0"),
        ],
    )
    def test_refuses_networks_in_which_strangers_are(self, text: str) -> None:
        """A wide network lets anybody choose an address; a typo must not pass either."""
        with pytest.raises(ValueError, match=r"is not an address|is too wide"):
            parse_networks(text)


class TestWalk:
    """From the peer towards the client."""

    @pytest.mark.parametrize(
        ("peer", "forwarded_for", "client"),
        [
            ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
            ("10.0.0.1", [], "10.0.0.1"),
            ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", ["6.6.6.6, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", ["6.6.6.6", "198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", ["198.51.100.1, 10.0.0.2, 10.0.0.3"], "198.51.100.1"),
            ("10.0.0.1", ["10.0.0.5, 10.0.0.2"], "10.0.0.5"),
            ("10.0.0.1", ["198.51.100.1, garbage, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", ["198.51.100.1, unknown"], "10.0.0.1"),
            ("10.0.0.1", [""], "10.0.0.1"),
            ("10.0.0.1", ["198.51.100.1:4711"], "198.51.100.1"),
            ("10.0.0.1", ["[2001:db8::1]:4711"], "2001:db8::1"),
            ("10.0.0.1", ["2001:db8::1"], "2001:db8::1"),
            ("10.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
            ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
            ("fd00::1", ["2001:db8::1, fd00::2"], "2001:db8::1"),
            ("10.0.0.1", ["fe80::1%eth0"], "10.0.0.1"),
            ("10.0.0.1", ["198.51.100.1," * 5000 + "198.51.100.2"], "198.51.100.2"),
            (None, ["198.51.100.1"], "0.0.0.0"),  # noqa: S104 - nobody, not a socket to bind
        ],
    )
    def test_ends_at_the_first_address_that_is_not_trusted(
        self, peer: str | None, forwarded_for: list[str], client: str
    ) -> None:
        """What a client writes itself stands left of it and is never reached."""
        found = ClientAddresses(TRUSTED).find(peer, forwarded_for)
        assert str(found) == client

    def test_ignores_headers_when_nobody_is_trusted(self) -> None:
        """The TCP peer is the client."""
        assert str(ClientAddresses(()).find("127.0.0.1", ["1.2.3.4"])) == "127.0.0.1"


class TestLimitKey:
    """What is counted together."""

    def test_is_the_address_or_the_network_an_ipv6_client_chooses_from(self) -> None:
        """A client with a /64 has one allowance, not 2^64."""
        assert limit_key(ip_address("192.0.2.1")) == "192.0.2.1"
        assert limit_key(ip_address("2001:db8::1")) == limit_key(ip_address("2001:db8::ffff:1"))
        assert limit_key(ip_address("2001:db8::1")) != limit_key(ip_address("2001:db8:0:1::1"))

    @pytest.mark.parametrize("text", ["", "1.2.3", "1.2.3.4:99999999", "::1]", "1.2.3.4, 1"])
    def test_is_never_made_of_garbage(self, text: str) -> None:
        """Only addresses are addresses."""
        assert parse_address(text) is None
