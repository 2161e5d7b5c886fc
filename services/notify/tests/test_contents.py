"""What may stand in a mail: addresses, names, links."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notify.domain.contents import (
    InvalidAddressError,
    greeted_name,
    header_id,
    links_in,
    mailbox,
    masked,
    token_link,
)
from services.notify.domain.messages import Template

ID = UUID("019b796d-d600-7df0-bc9d-ce7d0bac5517")


class TestMailbox:
    """What is one plain address."""

    @pytest.mark.parametrize(
        ("text", "address"),
        [
            ("ada@example.org", "ada@example.org"),
            ("Ada.L+tag@Example.org", "Ada.L+tag@Example.org"),
            ("o'hara@localhost", "o'hara@localhost"),
            ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ],
    )
    def test_takes_plain_ones(self, text: str, address: str) -> None:
        """Also a domain of another script, in its ASCII form."""
        assert mailbox(text) == address

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "ada",
            "@example.org",
            "ada@",
            "ada@example.org\r\nBcc: eve@evil.example",
            "ada@example.org\n",
            "ada\u2028@example.org",
            "ada\x00@example.org",
            "a@b.example,eve@evil.example",
            "a@b.example eve@evil.example",
            "<ada@example.org>",
            "Ada <ada@example.org>",
            '"a b"@example.org',
            '"a@b"@example.org',
            "a@b@example.org",
            "a..b@example.org",
            ".a@example.org",
            "a@-example.org",
            "a@example..org",
            "a@[127.0.0.1]",
            "äda@example.org",
            f"{'a' * 65}@example.org",
            f"{'a' * 1000}@example.org",
            f"a@{'.'.join(['b' * 60] * 5)}",
        ],
    )
    def test_refuses_everything_else(self, text: str) -> None:
        """Headers, lists, quotes, routes, controls, too long."""
        with pytest.raises(InvalidAddressError):
            mailbox(text)

    @given(st.text())
    def test_never_lets_a_break_through(self, text: str) -> None:
        """Whatever comes, what is taken is one word of printable ASCII."""
        try:
            address = mailbox(text)
        except InvalidAddressError:
            return
        assert address.isascii()
        assert address.isprintable()
        assert not set(address) & set(' ,;<>"()')


class TestGreetedName:
    """By which name a mail greets."""

    @pytest.mark.parametrize("name", ["ada", "Ada Lovelace", "a_b-c", "{{ 7*7 }}", "<b>", "J. R."])
    def test_greets_by_plain_names(self, name: str) -> None:
        """What templates make of it is escaped there."""
        assert greeted_name(name) == name

    @pytest.mark.parametrize(
        "name",
        [
            None,
            "",
            "evil.example",
            "see https://evil.example",
            "a@evil.example",
            "line\nbreak",
            "line\u2028break",
            "right\u202eleft",
            "zero\u200bwidth",
            "x" * 65,
        ],
    )
    def test_greets_nobody_by_a_trap(self, name: str | None) -> None:
        """Links, invisible characters, and walls of text."""
        assert greeted_name(name) is None


class TestLinks:
    """Links, and identifiers of mails."""

    def test_the_token_is_a_fragment(self) -> None:
        """Percent-encoded whole: nothing in it ends the fragment or starts another part."""
        link = token_link("https://id.example/auth", Template.PASSWORD_RESET, "a/b?c#d&e+f g")
        assert link == "https://id.example/auth/reset-password#token=a%2Fb%3Fc%23d%26e%2Bf%20g"

    def test_the_header_id_is_stable(self) -> None:
        """One row, one Message-ID, under the sender's domain."""
        assert header_id(ID, "no-reply@mail.example") == f"<{ID}@mail.example>"

    def test_finds_each_link_once(self) -> None:
        """In the order of the text."""
        text = "go https://a.example/x#t=1\nor <https://b.example> or https://a.example/x#t=1"
        assert links_in(text) == ["https://a.example/x#t=1", "https://b.example"]

    @pytest.mark.parametrize(
        ("address", "shown"),
        [("ada@example.org", "a***@example.org"), ("a@b", "a***@b"), (None, None)],
    )
    def test_masks_addresses(self, address: str | None, shown: str | None) -> None:
        """First letter and domain are what an administrator sees."""
        assert masked(address) == shown
