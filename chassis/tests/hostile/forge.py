"""A forge of access tokens: an issuer's own key, and every byte of what it signs."""

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

Named = Iterator[tuple[str, str]]
"""Attacks by name."""

Sign = Callable[[bytes], bytes]
HALF = 32
"""Bytes of r and of s in an ES256 signature."""

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""The order of the curve P-256."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forge:
    """An issuer's ES256 key, and the claims of a token that is good now.

    `listener` is an address of the attacker's: whoever asks there has believed a header.
    """

    private: ec.EllipticCurvePrivateKey
    kid: str
    claims: Mapping[str, Any]
    listener: str = "http://127.0.0.1:1"

    def sign(self, data: bytes) -> bytes:
        """Sign as RFC 7518 §3.4 has it: r and s, 32 bytes each."""
        return raw_signature(self.private, data)

    def twin(self, data: bytes) -> bytes:
        """Sign so that the second spelling of the signature comes out: (r, n - s) verifies too."""
        signature = self.sign(data)
        s = ORDER - int.from_bytes(signature[HALF:], "big")
        return signature[:HALF] + s.to_bytes(HALF, "big")

    def header(self, **changes: Any) -> dict[str, Any]:
        """Return a good header, changed; a value of ... leaves the parameter out."""
        return _changed({"alg": "ES256", "kid": self.kid, "typ": "at+jwt"}, changes)

    def payload(self, **changes: Any) -> dict[str, Any]:
        """Return good claims, changed; a value of ... leaves the claim out."""
        return _changed(self.claims, changes)

    def token(self, header: object = None, payload: object = None, sign: Sign | None = None) -> str:
        """Return a compact JWS of these parts, given as objects or as bytes; good by default."""
        parts = [part_of(header or self.header()), part_of(payload or self.payload())]
        signed = ".".join(parts)
        return f"{signed}.{encode((sign or self.sign)(signed.encode()))}"


def encode(data: bytes) -> str:
    """Encode as base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def raw_signature(
    private: ec.EllipticCurvePrivateKey, data: bytes, digest: hashes.HashAlgorithm | None = None
) -> bytes:
    """Sign by ECDSA; return r and s, 32 bytes each (RFC 7518 §3.4)."""
    r, s = decode_dss_signature(private.sign(data, ec.ECDSA(digest or hashes.SHA256())))
    return r.to_bytes(HALF, "big") + s.to_bytes(HALF, "big")


def part_of(content: object) -> str:
    """Return one segment: of bytes as they are, of anything else as JSON."""
    return encode(content if isinstance(content, bytes) else json.dumps(content).encode())


def _changed(good: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**good, **changes}.items() if value is not ...}
