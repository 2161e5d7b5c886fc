"""Public keys and signatures, by `cryptography` alone (RFC 7518 §3 and §6, RFC 8037).

What a verifier needs of them is little, and PyJWT would load much beside it into each process.
"""

from collections.abc import Callable, Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from chassis.crypto import b64decode

_COORDINATE_BYTES = 32
_SHA256 = SHA256()
_ES256 = ECDSA(_SHA256)
_RS256 = PKCS1v15()


def read_key(jwk: Mapping[str, Any], alg: str) -> Any:
    """Return the public key that *jwk* describes, of the kind *alg* verifies with.

    Raises ValueError for another kind or curve, and for what is badly formed.
    """
    return _READERS[alg](jwk)


def verifies(alg: str, public: Any, signed: bytes, signature: bytes) -> bool:
    """Say whether *signature* is that of *public*, which was read for *alg*, over *signed*."""
    try:
        _CHECKS[alg](public, signed, signature)
    except (InvalidSignature, ValueError):
        return False
    return True


def _read_p256(jwk: Mapping[str, Any]) -> EllipticCurvePublicKey:
    _expect(jwk, kty="EC", crv="P-256")
    x, y = _octets(jwk, "x"), _octets(jwk, "y")
    if not len(x) == len(y) == _COORDINATE_BYTES:
        raise ValueError("a coordinate is not of 32 bytes")
    numbers = EllipticCurvePublicNumbers(
        int.from_bytes(x, "big"), int.from_bytes(y, "big"), SECP256R1()
    )
    return numbers.public_key()


def _read_ed25519(jwk: Mapping[str, Any]) -> Ed25519PublicKey:
    _expect(jwk, kty="OKP", crv="Ed25519")
    return Ed25519PublicKey.from_public_bytes(_octets(jwk, "x"))


def _read_rsa(jwk: Mapping[str, Any]) -> RSAPublicKey:
    _expect(jwk, kty="RSA")
    e, n = [int.from_bytes(_octets(jwk, name), "big") for name in ("e", "n")]
    return RSAPublicNumbers(e, n).public_key()


def _expect(jwk: Mapping[str, Any], **members: str) -> None:
    for name, value in members.items():
        if jwk.get(name) != value:
            raise ValueError(f"{name} is not {value}")


def _octets(jwk: Mapping[str, Any], name: str) -> bytes:
    value = jwk.get(name)
    if not isinstance(value, str):
        raise ValueError(f"{name} is not a text")  # noqa: TRY004 - as for any other bad form
    return b64decode(value)


def _check_es256(public: EllipticCurvePublicKey, signed: bytes, signature: bytes) -> None:
    """Check R and S, 32 bytes each, one after the other (RFC 7518 §3.4)."""
    if len(signature) != 2 * _COORDINATE_BYTES:
        raise ValueError("not R and S")
    r, s = signature[:_COORDINATE_BYTES], signature[_COORDINATE_BYTES:]
    der = encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
    public.verify(der, signed, _ES256)


def _check_eddsa(public: Ed25519PublicKey, signed: bytes, signature: bytes) -> None:
    public.verify(signature, signed)


def _check_rs256(public: RSAPublicKey, signed: bytes, signature: bytes) -> None:
    public.verify(signature, signed, _RS256, _SHA256)


_READERS: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "ES256": _read_p256,
    "EdDSA": _read_ed25519,
    "RS256": _read_rsa,
}
_CHECKS: dict[str, Callable[[Any, bytes, bytes], None]] = {
    "ES256": _check_es256,
    "EdDSA": _check_eddsa,
    "RS256": _check_rs256,
}
