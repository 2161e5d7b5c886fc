"""Access tokens by hand, good and bad: the keys of a test, and every byte of a compact JWS."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

from chassis.jwt import AccessTokenVerifier, InvalidToken, KeySet
from chassis.testing import FixedClock
from chassis.tests.hostile.forge import encode

ISSUER = "https://auth.example"
AUDIENCE = "gatehouse"
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SUB = "0190f3a0-0000-7000-8000-000000000001"
SID = "0190f3a0-0000-7000-8000-000000000002"

EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()
RSA_KEY = rsa.generate_private_key(65537, 3072)
PRIVATE: dict[str, Any] = {"ES256": EC_KEY, "EdDSA": ED_KEY, "RS256": RSA_KEY}
PRIMITIVES: dict[str, Any] = dict(get_default_algorithms())


def jwk(of: str, **changes: Any) -> dict[str, Any]:
    """Return the public JWK of the test key for the algorithm *of*."""
    document = PRIMITIVES[of].to_jwk(PRIVATE[of].public_key(), as_dict=True)
    document.pop("key_ops", None)
    return {**document, "kid": f"key-{of}", "use": "sig", "alg": of, **changes}


KEYS = KeySet.from_jwks({"keys": [jwk("ES256"), jwk("EdDSA"), jwk("RS256")]})


def claims(**changes: Any) -> dict[str, Any]:
    """Return good claims, changed; a value of ... leaves the claim out."""
    issued = int(NOW.timestamp())
    good: dict[str, Any] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": SUB,
        "sid": SID,
        "jti": "jti-1",
        "iat": issued,
        "exp": issued + 900,
        "auth_time": issued - 60,
        "amr": ["pwd"],
        "roles": ["user"],
        "scope": "",
        "ver": 7,
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not ...}


def raw(header: bytes, payload: bytes, sign: Callable[[bytes], bytes] | None = None) -> str:
    """Return a compact JWS of exactly these bytes, by default well signed by the ES256 key."""
    signing_input = f"{encode(header)}.{encode(payload)}"
    signer = sign or (lambda data: bytes(PRIMITIVES["ES256"].sign(data, EC_KEY)))
    return f"{signing_input}.{encode(signer(signing_input.encode()))}"


def header(**changes: Any) -> dict[str, Any]:
    """Return a good header, changed; a value of ... leaves the parameter out."""
    good = {"alg": "ES256", "kid": "key-ES256", "typ": "at+jwt"}
    return {name: value for name, value in {**good, **changes}.items() if value is not ...}


def token(of: str = "ES256", payload: dict[str, Any] | None = None, **changes: Any) -> str:
    """Return a token signed by the test key for the algorithm *of*, whatever its header says."""
    head = header(**{"alg": of, "kid": f"key-{of}", **changes})
    body = json.dumps(payload or claims()).encode()
    return raw(json.dumps(head).encode(), body, lambda d: PRIMITIVES[of].sign(d, PRIVATE[of]))


def verifier(**changes: Any) -> AccessTokenVerifier:
    """Return the verifier under test."""
    known: dict[str, Any] = {
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "clock": FixedClock(NOW),
        **changes,
    }
    return AccessTokenVerifier(**known)


def refused(text: str) -> str:
    """Assert that *text* is refused; return the reason for the log."""
    with pytest.raises(InvalidToken) as caught:
        verifier().verify(text, KEYS)
    assert caught.value.status == 401
    assert caught.value.code == "invalid_token"
    return caught.value.reason
