"""Access tokens: the claims of D1, signed with the key that is active now (RFC 9068)."""

import json
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import uuid4

from chassis.crypto import b64encode
from chassis.jwt import TOKEN_TYPE
from services.token.domain.grants import Grant
from services.token.keys import KeyRing, SigningKey

_JSON = json.JSONEncoder(separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class AccessTokens:
    """Issues the access tokens of one issuer for one audience."""

    issuer: str
    audience: str
    keys: KeyRing

    def issue(
        self,
        grant: Grant,
        *,
        key: SigningKey,
        now: datetime,
        expires_at: datetime,
    ) -> str:
        """Return a token that says what *grant* holds, signed by *key*."""
        issued_at = int(now.timestamp())
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": str(grant.user_id),
            "sid": str(grant.session_id),
            "jti": str(uuid4()),
            "iat": issued_at,
            "exp": max(int(expires_at.timestamp()), issued_at + 1),
            "auth_time": int(grant.authenticated_at.timestamp()),
            "amr": list(grant.amr),
            "roles": sorted(grant.roles),
            "scope": grant.scope,
            "ver": grant.roles_version,
        }
        signed = f"{_header(key.kid, key.algorithm)}.{_encoded(claims)}"
        return f"{signed}.{b64encode(key.sign(signed.encode()))}"


@lru_cache(maxsize=16)
def _header(kid: str, algorithm: str) -> str:
    """Return the JOSE header of every token that a key signs (RFC 7515 §7.1)."""
    return _encoded({"alg": algorithm, "kid": kid, "typ": TOKEN_TYPE})


def _encoded(members: dict[str, Any]) -> str:
    return b64encode(_JSON.encode(members).encode())
