"""The CSRF token: `sid.random.HMAC(sid, random)`, made for one session and good for no other.

A signed double-submit cookie bound to the session: a page of another origin cannot read it, and
who plants a pair of their own has none for the victim's session. It has no expiry, it dies with
the session.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Sequence
from uuid import UUID

from chassis.crypto import b64encode, derive

_RANDOM_BYTES = 32
_FORM = re.compile(
    r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{43})"
)


def has_form(text: str) -> bool:
    """Say whether *text* looks like a token of ours, authentic or not."""
    return _FORM.fullmatch(text) is not None


class CsrfTokens:
    """Makes and reads the tokens under keys derived from *keys*: the first signs, all verify."""

    def __init__(
        self, keys: Sequence[bytes], random_bytes: Callable[[int], bytes] = secrets.token_bytes
    ) -> None:
        self._keys = tuple(derive(key, "gateway csrf token") for key in keys)
        self._random_bytes = random_bytes

    def issue(self, sid: UUID) -> str:
        """Return a new token for the session *sid*."""
        random = b64encode(self._random_bytes(_RANDOM_BYTES))
        return f"{sid}.{random}.{_mac(self._keys[0], str(sid), random)}"

    def read(self, text: str | None) -> UUID | None:
        """Return the session an authentic token was made for, None for anything else."""
        match = _FORM.fullmatch(text or "")
        if match is None:
            return None
        sid, random, mac = match.groups()
        authentic = [hmac.compare_digest(_mac(key, sid, random), mac) for key in self._keys]
        return UUID(sid) if any(authentic) else None


def _mac(key: bytes, sid: str, random: str) -> str:
    # With their lengths, so that no other pair of texts reads the same.
    message = f"{len(sid)}!{sid}!{len(random)}!{random}"
    return b64encode(hmac.digest(key, message.encode("ascii"), hashlib.sha256))
