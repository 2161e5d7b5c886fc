"""One-time tokens for people: 256 random bits, known to the database only by their hash (D10)."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

VERIFICATION_LIFE = timedelta(hours=24)
RESET_LIFE = timedelta(hours=1)
CHANGE_LIFE = timedelta(minutes=10)
"""Life of the token a login hands out when the password must be changed first (D7)."""
MAX_LIVE_RESETS = 3
EMAIL_CHANGE_MARK = "gh_ec_"
"""What a token that confirms a change of address begins with: one page serves it and others."""

_BYTES = 32


@dataclass(frozen=True, slots=True)
class OneTimeToken:
    """A token that still exists in clear, on its way to its owner."""

    secret: str

    @classmethod
    def verification(cls) -> Self:
        """Make a token that proves an address."""
        return cls(f"gh_ev_{secrets.token_urlsafe(_BYTES)}")

    @classmethod
    def reset(cls) -> Self:
        """Make a token that allows a new password."""
        return cls(f"gh_pr_{secrets.token_urlsafe(_BYTES)}")

    @classmethod
    def email_change(cls) -> Self:
        """Make a token that proves a new address of an account that has another."""
        return cls(f"{EMAIL_CHANGE_MARK}{secrets.token_urlsafe(_BYTES)}")

    @classmethod
    def email_revert(cls) -> Self:
        """Make a token that takes a change of address back."""
        return cls(f"gh_er_{secrets.token_urlsafe(_BYTES)}")

    @property
    def digest(self) -> bytes:
        """Return what the database keeps."""
        return digest_of(self.secret)

    def __repr__(self) -> str:
        return "OneTimeToken(…)"


def digest_of(presented: str) -> bytes:
    """Return the hash a presented token is looked up by."""
    return hashlib.sha256(presented.encode("utf-8", "surrogatepass")).digest()
