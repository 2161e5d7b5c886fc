"""Signing keys: generated, sealed at rest, loaded once, published as a JWK set (RFC 7517)."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
)
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from jwt.algorithms import get_default_algorithms

from chassis.crypto import SealBrokenError, b64encode, key_id, seal, unseal
from chassis.jwt import KeySet
from services.token.domain.keys import KeyLife
from services.token.errors import SigningKeyMissing

PrivateKey = EllipticCurvePrivateKey | Ed25519PrivateKey | RSAPrivateKey

_COORDINATE_BYTES = 32
_SHA256 = SHA256()
_ES256 = ECDSA(_SHA256)
_RS256 = PKCS1v15()
_RSA_BITS = 3072
_RSA_EXPONENT = 65537
_THUMBPRINT_MEMBERS = {
    "EC": ("crv", "kty", "x", "y"),
    "OKP": ("crv", "kty", "x"),
    "RSA": ("e", "kty", "n"),
}


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that signs, with its public half as others see it."""

    kid: str
    algorithm: str
    private: PrivateKey = field(repr=False)
    public_jwk: Mapping[str, Any]

    def sign(self, data: bytes) -> bytes:
        """Return the signature of *data* as a JWS has it (RFC 7518 §3, RFC 8037 §3.1)."""
        if isinstance(self.private, EllipticCurvePrivateKey):
            r, s = decode_dss_signature(self.private.sign(data, _ES256))
            return r.to_bytes(_COORDINATE_BYTES, "big") + s.to_bytes(_COORDINATE_BYTES, "big")
        if isinstance(self.private, RSAPrivateKey):
            return self.private.sign(data, _RS256, _SHA256)
        return self.private.sign(data)

    def sealed(self, encryption_keys: Sequence[bytes]) -> str:
        """Return the private key encrypted for the database."""
        der = self.private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return seal(encryption_keys, der, context=_context(self.kid))


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKey:
    """A signing key as it lies in the database; a retired one has lost its private half."""

    life: KeyLife
    public_jwk: Mapping[str, Any]
    sealed_private_key: str | None = field(repr=False)

    def opened(self, encryption_keys: Sequence[bytes]) -> SigningKey:
        """Return the key ready to sign. Raises SealBrokenError under the wrong keys."""
        der = unseal(
            encryption_keys, self.sealed_private_key or "", context=_context(self.life.kid)
        )
        private = load_der_private_key(der, password=None)
        if not isinstance(private, PrivateKey):
            raise TypeError("not a signing key")
        return SigningKey(self.life.kid, self.life.algorithm, private, self.public_jwk)

    @property
    def sealed_under(self) -> str | None:
        """Return the id of the encryption key that holds the private half; None without one."""
        return self.sealed_private_key and self.sealed_private_key.partition(".")[0]

    def resealed(self, encryption_keys: Sequence[bytes]) -> str:
        """Return the private half under the first of the keys.

        Raises SealBrokenError under the wrong keys.
        """
        context = _context(self.life.kid)
        der = unseal(encryption_keys, self.sealed_private_key or "", context=context)
        return seal(encryption_keys, der, context=context)


@dataclass(frozen=True, slots=True)
class JwkSet:
    """The published keys, rendered once."""

    body: bytes
    etag: str

    @classmethod
    def of(cls, keys: Sequence[StoredKey]) -> "JwkSet":
        """Render the public halves of *keys*."""
        document = {"keys": [dict(key.public_jwk) for key in keys]}
        body = json.dumps(document, separators=(",", ":")).encode()
        return cls(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')


@dataclass(frozen=True, slots=True)
class Issuer:
    """What a request makes its tokens with, fixed before it looks at anything else.

    A global revocation revokes the key that signs. So a request that it overtakes gives a token
    nobody accepts, and needs no lock for that.
    """

    key: SigningKey
    epoch: int


class KeyRing:
    """The keys of this process: one that signs, all that verify. Changed only as a whole."""

    def __init__(self, encryption_keys: Sequence[bytes]) -> None:
        self._encryption_keys = encryption_keys
        self._opened: dict[str, SigningKey] = {}
        self._signing_key: SigningKey | None = None
        self.unopened: frozenset[str] = frozenset()
        """Keys whose private half none of the encryption keys opens."""
        self.key_set = KeySet()
        self.jwks = JwkSet.of([])
        self._epoch = 0

    @property
    def first_encryption_key(self) -> str:
        """Return the id of the encryption key that seals what is stored from now on."""
        return key_id(self._encryption_keys[0])

    @property
    def signing_key(self) -> SigningKey:
        """Return the key that signs now. Raises SigningKeyMissing while there is none to use."""
        if self._signing_key is None:
            raise SigningKeyMissing(retry_after=1)
        return self._signing_key

    @property
    def issuer(self) -> "Issuer":
        """Return what tokens are made with now. Raises SigningKeyMissing."""
        return Issuer(self.signing_key, self._epoch)

    def opens(self, key: StoredKey) -> bool:
        """Say whether this process could sign with *key*."""
        return self._open(key) is not None

    def load(self, keys: Sequence[StoredKey], *, epoch: int) -> None:
        """Take over *keys* as they are in the database: no other signs or verifies any more.

        *epoch* is what it was when they were read, or a later one.
        """
        self._epoch = epoch
        opened = {key.life.kid: self._open(key) for key in keys if key.sealed_private_key}
        self._opened = {kid: key for kid, key in opened.items() if key}
        self.unopened = frozenset(opened) - frozenset(self._opened)
        active = next((key for key in keys if key.life.state == "active"), None)
        self._signing_key = self._opened.get(active.life.kid) if active else None
        jwks = JwkSet.of(keys)
        if jwks.etag != self.jwks.etag:
            self.key_set = KeySet.from_jwks(json.loads(jwks.body))
            self.jwks = jwks

    def _open(self, key: StoredKey) -> SigningKey | None:
        try:
            return self._opened.get(key.life.kid) or key.opened(self._encryption_keys)
        except SealBrokenError:
            return None


def generate_key(algorithm: str) -> SigningKey:
    """Make a new key for *algorithm*; its `kid` is its thumbprint (RFC 7638).

    RSA takes up to seconds of CPU: call it in a thread.
    """
    private: PrivateKey
    if algorithm == "ES256":
        private = generate_ec(SECP256R1())
    elif algorithm == "EdDSA":
        private = Ed25519PrivateKey.generate()
    else:
        private = generate_rsa(_RSA_EXPONENT, _RSA_BITS)
    jwk = _public_jwk(private, algorithm)
    kid = _thumbprint(jwk)
    return SigningKey(kid, algorithm, private, {**jwk, "kid": kid, "use": "sig", "alg": algorithm})


def _public_jwk(private: PrivateKey, algorithm: str) -> dict[str, Any]:
    primitive: Any = get_default_algorithms()[algorithm]
    jwk: dict[str, Any] = primitive.to_jwk(private.public_key(), as_dict=True)
    return {member: jwk[member] for member in _THUMBPRINT_MEMBERS[jwk["kty"]]}


def _thumbprint(jwk: Mapping[str, Any]) -> str:
    canonical = json.dumps(dict(jwk), sort_keys=True, separators=(",", ":"))
    return b64encode(hashlib.sha256(canonical.encode()).digest())


def _context(kid: str) -> str:
    return f"gatehouse signing key {kid}"
