"""Access tokens for the load: signed beforehand, a file of them per key."""

import json
import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from chassis.clock import SystemClock
from chassis.jwt import TOKEN_TYPE
from gateway.tokens import MAX_TOKENS

ISSUER = "http://localhost:8000"
AUDIENCE = "gatehouse"
USERS = 2_000
NEW_TOKENS = MAX_TOKENS * 5 // 4
"""More than the gateway remembers: whoever goes round through them meets none a second time."""

_LIFETIME_SECONDS = 86_400
_PORTIONS = 16


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key (PEM) and what verifies it."""

    kid: str
    alg: str
    pem: bytes
    public_pem: str
    jwk: dict[str, Any]

    @classmethod
    def rs256(cls, kid: str, *, bits: int) -> "SigningKey":
        """Make an RSA key."""
        private = rsa.generate_private_key(public_exponent=65_537, key_size=bits)
        return cls._of(kid, "RS256", private, RSAAlgorithm.to_jwk(private.public_key()))

    @classmethod
    def es256(cls, kid: str) -> "SigningKey":
        """Make a key of P-256."""
        private = ec.generate_private_key(ec.SECP256R1())
        return cls._of(kid, "ES256", private, ECAlgorithm.to_jwk(private.public_key()))

    @classmethod
    def _of(
        cls, kid: str, alg: str, private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, jwk: str
    ) -> "SigningKey":
        public = private.public_key()
        return cls(
            kid,
            alg,
            private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
            {**json.loads(jwk), "kid": kid, "alg": alg, "use": "sig"},
        )


@dataclass(frozen=True, slots=True)
class Tokens:
    """A file of tokens, one a line, each of a user and a session of its own."""

    path: Path
    count: int


def write_tokens(path: Path, key: SigningKey, count: int) -> Tokens:
    """Sign on every core, into a file."""
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as signers:
        portions = signers.map(_sign, [key] * _PORTIONS, _portions(count))
        path.write_text("".join(f"{token}\n" for portion in portions for token in portion))
    return Tokens(path, count)


def _portions(count: int) -> Iterable[int]:
    return (count // _PORTIONS + (number < count % _PORTIONS) for number in range(_PORTIONS))


def _sign(key: SigningKey, count: int) -> list[str]:
    algorithm = jwt.get_algorithm_by_name(key.alg)
    private = algorithm.prepare_key(key.pem)
    headers = {"kid": key.kid, "typ": TOKEN_TYPE}
    return [
        jwt.encode(_claims(), private, algorithm=key.alg, headers=headers) for _ in range(count)
    ]


def _claims() -> dict[str, Any]:
    now = int(SystemClock().now().timestamp())
    return {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": str(uuid4()),
        "sid": str(uuid4()),
        "jti": uuid4().hex,
        "iat": now,
        "exp": now + _LIFETIME_SECONDS,
        "auth_time": now,
        "amr": ["pwd"],
        "roles": ["user"],
        "scope": "",
        "ver": 1,
    }
