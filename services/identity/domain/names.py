"""E-mail addresses and usernames: what is one, and when two are the same."""

import re
from dataclasses import dataclass
from typing import Self

MAX_EMAIL_LENGTH = 254
"""Octets of a whole address (RFC 5321 §4.5.3.1.3, less the angle brackets)."""

_MAX_LOCAL_LENGTH = 64
_MAX_DOMAIN_LENGTH = 253
# RFC 5322 §3.2.3 dot-atom: quoted local parts are refused, nobody has one by accident.
_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
# RFC 2047 §2: mail programs would decode it, so that a mail went elsewhere than it says.
_ENCODED_WORD = "=?"
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_USERNAME = re.compile(r"[a-z0-9][a-z0-9._-]{2,31}")


@dataclass(frozen=True, slots=True)
class EmailAddress:
    """A mailbox as its owner typed it; `folded` decides whether two are the same."""

    text: str
    folded: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one address; an international domain becomes its ASCII form. Raises ValueError."""
        local, at, domain = text.rpartition("@")
        if not at or len(local) > _MAX_LOCAL_LENGTH or not _LOCAL.fullmatch(local):
            raise ValueError("not an e-mail address")
        if _ENCODED_WORD in local:
            raise ValueError("not an e-mail address that a mail can be written to")
        ascii_domain = _ascii_domain(domain)
        whole = f"{local}@{ascii_domain}"
        if len(whole) > MAX_EMAIL_LENGTH:
            raise ValueError("longer than an e-mail address may be")
        return cls(text=whole, folded=whole.lower())

    @property
    def local(self) -> str:
        """Return what stands before the @, folded."""
        return self.folded.rpartition("@")[0]


@dataclass(frozen=True, slots=True)
class Username:
    """A name to log in with, case-folded: it is shown as it is compared."""

    text: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `[a-z0-9][a-z0-9._-]{2,31}` after case folding. Raises ValueError."""
        folded = text.casefold()
        if not _USERNAME.fullmatch(folded):
            raise ValueError("3 to 32 letters, digits, dots, underscores or hyphens")
        return cls(folded)


def fold_login_name(text: str) -> str:
    """Return the name field of a login as it is compared: an address or a username."""
    if "@" not in text:
        return text.casefold()
    try:
        return EmailAddress.parse(text).folded
    except ValueError:
        return text.casefold()


def _ascii_domain(domain: str) -> str:
    if not domain or len(domain) > _MAX_DOMAIN_LENGTH:
        raise ValueError("the domain is missing or too long")
    try:
        encoded = domain.encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise ValueError("the domain is not valid") from None
    labels = encoded.split(".")
    known = len(labels) > 1 and all(_LABEL.fullmatch(label) for label in labels)
    if not known or labels[-1].isdecimal() or len(encoded) > _MAX_DOMAIN_LENGTH:
        raise ValueError("the domain is not valid")
    return encoded
