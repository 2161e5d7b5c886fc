"""E-mail addresses, usernames, and when two are the same."""

import pytest

from services.identity.domain.names import EmailAddress, Username, fold_login_name


class TestEmailAddress:
    """What is an address, and which are equal."""

    @pytest.mark.parametrize(
        "text",
        [
            "a@b.co",
            "o'hara+tag@example.com",
            "first.last@sub.example.org",
            "1@xn--bcher-kva.example",
        ],
    )
    def test_takes_ordinary_addresses(self, text: str) -> None:
        """What people have is accepted."""
        assert EmailAddress.parse(text).text == text

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "a",
            "@example.com",
            "a@",
            "a@b",
            "a@@example.com",
            "a@b@example.com",
            "a b@example.com",
            '"a b"@example.com',
            "=?utf-8?q?x?=@example.com",
            ".a@example.com",
            "a.@example.com",
            "a..b@example.com",
            "a@-example.com",
            "a@example-.com",
            "a@exa_mple.com",
            "a@example..com",
            "a@.example.com",
            "a@example.com.",
            "a@127.0.0.1",
            "a@[127.0.0.1]",
            "a@example.com\r\nBcc: x@evil.example",
            "a,b@example.com",
            "a@example.com,b@example.com",
            "<a@example.com>",
            "ä@example.com",
            "a@exam\u2028ple.com",
            f"{'a' * 65}@example.com",
            f"a@{'b' * 64}.com",
            f"a@{'b.' * 130}com",
            f"{'a' * 64}@{'b' * 63}.{'c' * 63}.{'d' * 61}.com",
        ],
    )
    def test_refuses_everything_else(self, text: str) -> None:
        """Whatever could be more than one mailbox, or none, is refused."""
        with pytest.raises(ValueError, match=r"address|domain"):
            EmailAddress.parse(text)

    def test_folds_case_and_international_domains(self) -> None:
        """Two spellings of one mailbox are equal."""
        assert EmailAddress.parse("Ada@Bücher.Example").folded == "ada@xn--bcher-kva.example"
        assert EmailAddress.parse("Ada@Example.COM").text == "Ada@example.com"


class TestUsername:
    """What is a username."""

    @pytest.mark.parametrize("text", ["ada", "Ada.L-1_x", "0abc", "a" * 32])
    def test_is_shown_folded(self, text: str) -> None:
        """A name is stored as it is compared."""
        assert Username.parse(text).text == text.lower()

    @pytest.mark.parametrize(
        "text", ["", "ab", "a" * 33, "-ada", ".ada", "ada@x", "a b", "adä", "\uff41da"]
    )
    def test_refuses_everything_else(self, text: str) -> None:
        """A name never looks like an address, and never like another."""
        with pytest.raises(ValueError, match="3 to 32"):
            Username.parse(text)


class TestLoginName:
    """The name field of a login."""

    def test_is_folded_as_accounts_are(self) -> None:
        """Case never decides who somebody is; anything else does."""
        assert fold_login_name("ADA") == "ada"
        assert fold_login_name("Ada@Example.com") == "ada@example.com"
        assert fold_login_name("ada@example.com ") != "ada@example.com"
