"""Access tokens: the claims of D1, signed with the key that is active now (RFC 9068)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

import jwt

from chassis.jwt import TOKEN_TYPE
from services.token.domain.sessions import Session
from services.token.domain.subjects import Subject
from services.token.keys import KeyRing, SigningKey


@dataclass(frozen=True, slots=True)
class AccessTokens:
    """Issues the access tokens of one issuer for one audience."""

    issuer: str
    audience: str
    keys: KeyRing

    def issue(
        self,
        session: Session,
        subject: Subject,
        *,
        key: SigningKey,
        now: datetime,
        expires_at: datetime,
    ) -> str:
        """Return a token of *session* with the roles of *subject*, signed by *key*."""
        issued_at = int(now.timestamp())
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": str(session.user_id),
            "sid": str(session.id),
            "jti": str(uuid4()),
            "iat": issued_at,
            "exp": max(int(expires_at.timestamp()), issued_at + 1),
            "auth_time": int(session.authenticated_at.timestamp()),
            "amr": list(session.amr),
            "roles": sorted(subject.roles),
            "scope": session.scope,
            "ver": subject.roles_version,
        }
        headers = {"kid": key.kid, "typ": TOKEN_TYPE}
        return jwt.encode(claims, key.private, algorithm=key.algorithm, headers=headers)
