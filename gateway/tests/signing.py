"""Access tokens as the token service signs them, by keys of the test's own."""

import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from jwt.algorithms import ECAlgorithm

from chassis.clock import Clock, SystemClock

ISSUER = "http://localhost:8000"
AUDIENCE = "gatehouse"


@dataclass(frozen=True)
class SigningKey:
    """An ES256 key with its name."""

    kid: str
    private: EllipticCurvePrivateKey = field(
        default_factory=lambda: generate_private_key(SECP256R1())
    )

    @property
    def jwk(self) -> dict[str, Any]:
        """Return the public key as it stands in the JWKS."""
        document: dict[str, Any] = json.loads(ECAlgorithm.to_jwk(self.private.public_key()))
        return document | {"kid": self.kid, "alg": "ES256", "use": "sig"}


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Whose tokens are signed."""

    sub: UUID = field(default_factory=uuid4)
    sid: UUID = field(default_factory=uuid4)
    roles: tuple[str, ...] = ("user",)
    ver: int = 1

    @property
    def id(self) -> str:
        """Return the user's id as text."""
        return str(self.sub)


def access_token(
    key: SigningKey,
    subject: Subject,
    *,
    clock: Clock | None = None,
    lifetime: timedelta = timedelta(minutes=15),
    **claims: Any,
) -> str:
    """Sign an access token; *claims* replace what would stand there."""
    now = int((clock or SystemClock()).now().timestamp())
    payload: dict[str, Any] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": subject.id,
        "sid": str(subject.sid),
        "jti": uuid4().hex,
        "iat": now,
        "exp": now + int(lifetime.total_seconds()),
        "auth_time": now,
        "amr": ["pwd"],
        "roles": list(subject.roles),
        "scope": "",
        "ver": subject.ver,
        **claims,
    }
    if lifetime < timedelta():
        payload["iat"] = payload["auth_time"] = payload["exp"] - 900
    return jwt.encode(
        payload, key.private, algorithm="ES256", headers={"kid": key.kid, "typ": "at+jwt"}
    )
