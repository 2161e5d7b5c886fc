"""Sealing small secrets at rest: AES-256-GCM under a rotatable list of keys, and HKDF."""

import base64
import hashlib
import os
from binascii import a2b_base64
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
_NONCE_BYTES = 12
_KEY_ID_CHARACTERS = 8
# Into the standard alphabet; what belongs to that alone becomes a byte of neither.
_STANDARD = bytes.maketrans(b"-_+/=", b"+/!!!")
_PADDING = (b"", b"", b"==", b"=")
# What a text may end with that has so many characters more than whole groups of four: those whose
# last bits, which are no part of the data, are zero (RFC 4648 §3.5).
_LAST = {2: frozenset("AQgw"), 3: frozenset("AEIMQUYcgkosw048")}


class SealBrokenError(ValueError):
    """The box was made under an unknown key, for another purpose, or was changed."""


def b64encode(data: bytes) -> str:
    """Encode as unpadded base64url (RFC 4648 §5)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def b64decode(text: str) -> bytes:
    """Decode unpadded base64url. Raises ValueError for anything that is not canonical."""
    left = len(text) % 4
    if left == 1:
        raise ValueError("not base64url")
    try:
        data = a2b_base64(text.encode().translate(_STANDARD) + _PADDING[left], strict_mode=True)
    except ValueError:
        raise ValueError("not base64url") from None
    if left and text[-1] not in _LAST[left]:
        raise ValueError("not canonical base64url")
    return data


def parse_keys(text: str, *, at_least: int = KEY_BYTES) -> tuple[bytes, ...]:
    """Read a comma separated list of base64url keys of *at_least* bytes each.

    Raises ValueError when the list is empty or a key is short or badly encoded.
    """
    keys = tuple(b64decode(part.strip().rstrip("=")) for part in text.split(",") if part.strip())
    if not keys:
        raise ValueError("needs at least one key")
    if any(len(key) < at_least for key in keys):
        raise ValueError(f"each key needs at least {at_least} bytes (base64url)")
    return keys


def derive(
    key: bytes, purpose: str, *, length: int = KEY_BYTES, salt: bytes | None = None
) -> bytes:
    """Derive a key for one *purpose* (HKDF-SHA256, RFC 5869)."""
    return HKDF(algorithm=SHA256(), length=length, salt=salt, info=purpose.encode()).derive(key)


def seal(keys: Sequence[bytes], plaintext: bytes, *, context: str) -> str:
    """Encrypt under the first key; the box opens only with the same *context*.

    The box reads `<key id>.<base64url of nonce and ciphertext>`.
    """
    nonce = os.urandom(_NONCE_BYTES)
    box = AESGCM(keys[0]).encrypt(nonce, plaintext, context.encode())
    return f"{key_id(keys[0])}.{b64encode(nonce + box)}"


def unseal(keys: Sequence[bytes], box: str, *, context: str) -> bytes:
    """Open a box under whichever key made it. Raises SealBrokenError."""
    made_by, _, encoded = box.partition(".")
    key = next((key for key in keys if key_id(key) == made_by), None)
    if key is None:
        raise SealBrokenError("unknown key")
    try:
        raw = b64decode(encoded)
        return AESGCM(key).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], context.encode())
    except (InvalidTag, ValueError):
        raise SealBrokenError("changed or made for another purpose") from None


def key_id(key: bytes) -> str:
    """Return what a box sealed under *key* begins with; it tells nothing of the key."""
    return hashlib.sha256(b"gatehouse key id" + key).hexdigest()[:_KEY_ID_CHARACTERS]
