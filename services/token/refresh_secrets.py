"""Refresh tokens as strings: made, recognised, hashed, and sealed for the repeat (D2, D3)."""

import hashlib
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from chassis.crypto import b64encode, derive, seal, unseal

_PREFIX = "gh_rt_"
_RANDOM_BYTES = 32
_FORM = re.compile(rf"{_PREFIX}[A-Za-z0-9_-]{{43}}")
_PURPOSE = "gatehouse refresh successor"


@dataclass(frozen=True, slots=True)
class RefreshSecret:
    """A refresh token that a client holds; only its hash is ever stored."""

    text: str = field(repr=False)

    @classmethod
    def new(cls, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> Self:
        """Make one with 256 random bits."""
        return cls(_PREFIX + b64encode(random_bytes(_RANDOM_BYTES)))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return *text* as a refresh token, or None for what was never one."""
        return cls(text) if _FORM.fullmatch(text) else None

    @property
    def hash(self) -> bytes:
        """Return what is stored: SHA-256 suffices for 256 random bits."""
        return hashlib.sha256(self.text.encode()).digest()

    def seal_successor(self, successor: Self) -> str:
        """Encrypt *successor* so that only who presents this token can read it.

        The key is this token's own, so the box opens in no other place.
        """
        return seal([self._key()], successor.text.encode(), context=_PURPOSE)

    def unseal_successor(self, box: str) -> "RefreshSecret":
        """Return the successor sealed in *box*. Raises SealBrokenError."""
        return RefreshSecret(unseal([self._key()], box, context=_PURPOSE).decode())

    def _key(self) -> bytes:
        return derive(self.text.encode(), _PURPOSE)


def client_fingerprint(device_token: str | None, user_agent: str | None) -> bytes:
    """Return what two requests of one client have in common (D3).

    That is its device token when it sends one, else its user agent; never the address, which
    changes on the way to work.
    """
    kind, value = ("device", device_token) if device_token else ("agent", user_agent or "")
    return hashlib.sha256(f"{kind}\0{value}".encode("utf-8", "replace")).digest()
