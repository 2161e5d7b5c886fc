"""The CSRF token by itself."""

import hashlib
import hmac
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.crypto import b64encode, derive
from gateway.browser.csrf import CsrfTokens

OLD, NEW = b"o" * 32, b"n" * 32
SID = UUID("01890000-0000-7000-8000-000000000001")


class TestCsrfTokens:
    """`sid.random.HMAC(sid, random)`."""

    def test_is_read_as_the_session_it_was_made_for(self) -> None:
        """And two of one session differ."""
        tokens = CsrfTokens([NEW])
        first, second = tokens.issue(SID), tokens.issue(SID)

        assert tokens.read(first) == tokens.read(second) == SID
        assert first != second

    def test_has_the_published_form(self) -> None:
        """Every part is in the MAC with its length, under a key made for this alone."""
        token = CsrfTokens([NEW], random_bytes=bytes).issue(SID)

        sid, random, mac = token.split(".")
        message = f"36!{SID}!43!{'A' * 43}".encode()
        expected = hmac.digest(derive(NEW, "gateway csrf token"), message, hashlib.sha256)
        assert (sid, random, mac) == (str(SID), "A" * 43, b64encode(expected))

    def test_keys_can_be_rotated(self) -> None:
        """The first signs, all verify; what was taken out of the list verifies nothing."""
        before, meanwhile, after = CsrfTokens([OLD]), CsrfTokens([NEW, OLD]), CsrfTokens([NEW])
        old, new = before.issue(SID), meanwhile.issue(SID)

        assert meanwhile.read(old) == meanwhile.read(new) == after.read(new) == SID
        assert (after.read(old), before.read(new)) == (None, None)

    @pytest.mark.parametrize(
        "text",
        [None, "", ".", "..", "a.b.c", f"{SID}", f"{SID}..", f"{SID}.{'A' * 43}.{'A' * 43}"],
    )
    def test_nothing_else_is_one(self, text: str | None) -> None:
        """Neither emptiness nor a good form without a good MAC."""
        assert CsrfTokens([NEW]).read(text) is None

    def test_no_part_can_be_changed(self) -> None:
        """Another session, another random part, truncated, prolonged, in capitals, spaced."""
        tokens = CsrfTokens([NEW])
        good = tokens.issue(SID)
        sid, random, mac = good.split(".")
        _, other_random, other_mac = tokens.issue(SID).split(".")
        changed = [
            f"{uuid4()}.{random}.{mac}",
            f"{sid}.{other_random}.{mac}",
            f"{sid}.{random}.{other_mac}",
            good[:-1],
            good + "A",
            good.upper(),
            f" {good}",
            f"{good}\n",
            f"{good}.",
        ]

        assert [tokens.read(text) for text in changed] == [None] * len(changed)

    @given(st.text())
    def test_any_text_is_refused(self, text: str) -> None:
        """Without an exception."""
        assert CsrfTokens([NEW]).read(text) is None
