"""Public keys to verify with, each bound to the one algorithm it may verify (RFC 8725 §3.1)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK, PyJWKError, PyJWTError
from jwt.algorithms import get_default_algorithms

ALGORITHMS = ("ES256", "EdDSA", "RS256")
KID = re.compile(r"[A-Za-z0-9_-]{1,64}")

_MIN_RSA_BITS = 3072
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_PRIMITIVES = get_default_algorithms()


class InvalidKeySet(ValueError):  # noqa: N818 - the RFC's word, like InvalidToken
    """The document is not a JWK set to rely on; the message says why."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key that verifies exactly one algorithm."""

    kid: str
    alg: str
    public: Any

    def verifies(self, signed: bytes, signature: bytes) -> bool:
        """Say whether *signature* is this key's over *signed*."""
        try:
            return _PRIMITIVES[self.alg].verify(signed, self.public, signature)
        except (PyJWTError, ValueError):
            return False


class KeySet:
    """Public keys by their `kid`."""

    def __init__(self, keys: Iterable[VerificationKey] = ()) -> None:
        self._keys = {key.kid: key for key in keys}

    @classmethod
    def from_jwks(cls, document: object) -> Self:
        """Read a JWK set (RFC 7517 §5), passing over keys of kinds we do not use.

        Raises InvalidKeySet for what is no set, a `kid` that stands twice, a private key and a
        key too weak for its algorithm.
        """
        if not isinstance(document, Mapping) or not isinstance(document.get("keys"), list):
            raise InvalidKeySet("not a JWK set")
        keys = [key for entry in document["keys"] if (key := _verification_key(entry))]
        if len({key.kid for key in keys}) != len(keys):
            raise InvalidKeySet("a kid stands twice")
        return cls(keys)

    @property
    def kids(self) -> frozenset[str]:
        """Return the names of the keys."""
        return frozenset(self._keys)

    def find(self, kid: str) -> VerificationKey | None:
        """Return the key of that name."""
        return self._keys.get(kid)


def _verification_key(entry: object) -> VerificationKey | None:
    """Return the key *entry* describes, or None for one that is not for us."""
    if not isinstance(entry, Mapping):
        raise InvalidKeySet("a key is not an object")
    kid, alg = entry.get("kid"), entry.get("alg")
    if alg not in ALGORITHMS or entry.get("use", "sig") != "sig":
        return None
    if not isinstance(kid, str) or not KID.fullmatch(kid):
        raise InvalidKeySet("a kid is missing or badly formed")
    if _PRIVATE_MEMBERS & entry.keys():
        raise InvalidKeySet("a private key is published")
    try:
        public = PyJWK(dict(entry), algorithm=str(alg)).key
    except (PyJWKError, PyJWTError, ValueError, TypeError, KeyError):
        raise InvalidKeySet("a key is badly formed") from None
    if not _fits(public, str(alg)):
        raise InvalidKeySet("a key does not fit its algorithm")
    return VerificationKey(kid, str(alg), public)


def _fits(public: object, alg: str) -> bool:
    if alg == "ES256":
        return isinstance(public, EllipticCurvePublicKey) and isinstance(public.curve, SECP256R1)
    if alg == "EdDSA":
        return isinstance(public, Ed25519PublicKey)
    return isinstance(public, RSAPublicKey) and public.key_size >= _MIN_RSA_BITS
