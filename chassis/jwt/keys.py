"""Public keys to verify with, each bound to the one algorithm it may verify (RFC 8725 §3.1)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from chassis.jwt import primitives

ALGORITHMS: Final = ("ES256", "EdDSA", "RS256")
KID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")

_MIN_RSA_BITS: Final = 3072
_PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


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
        return primitives.verifies(self.alg, self.public, signed, signature)


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
    if not _PRIVATE_MEMBERS.isdisjoint(entry):
        raise InvalidKeySet("a private key is published")
    try:
        public = primitives.read_key(entry, alg)
    except ValueError:
        raise InvalidKeySet("a key is badly formed") from None
    if isinstance(public, RSAPublicKey) and public.key_size < _MIN_RSA_BITS:
        raise InvalidKeySet("a key is too weak for its algorithm")
    return VerificationKey(kid, alg, public)
