"""What every scheme offers, and how it refuses."""

import base64
import binascii
from typing import Literal, Protocol

Reason = Literal["hash_unsupported", "hash_malformed", "hash_too_expensive"]

MAX_MEMORY_KIB = 100 * 1024
"""Memory of one verification, as Django's Argon2 takes; as many run as there are threads."""

_SALT_BYTES = range(1, 129)
_DIGEST_BYTES = range(16, 65)


class UnreadableHash(ValueError):  # noqa: N818 - said of the hash
    """The text is no hash we verify; `reason` is a code and never holds any of the text."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


class StoredHash(Protocol):
    """A hash that was read and may be verified."""

    def verify(self, password: bytes) -> bool:
        """Say whether *password* made it; blocks for up to about a second."""
        ...


def require(condition: object, reason: Reason) -> None:
    """Raise UnreadableHash for *reason* unless *condition* holds."""
    if not condition:
        raise UnreadableHash(reason)


def decode_salt(text: str) -> bytes:
    """Return the bytes of an encoded salt. Raises UnreadableHash."""
    salt = _decode(text)
    require(len(salt) in _SALT_BYTES, "hash_malformed")
    return salt


def decode_digest(text: str) -> bytes:
    """Return the bytes of an encoded digest of 16 to 64 bytes. Raises UnreadableHash."""
    digest = _decode(text)
    require(len(digest) in _DIGEST_BYTES, "hash_malformed")
    return digest


def _decode(text: str) -> bytes:
    """Read Base64 with or without padding; passlib writes `.` for `+`."""
    padded = text.rstrip("=").replace(".", "+")
    try:
        return base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise UnreadableHash("hash_malformed") from None
