"""What a client gets when it has logged in or refreshed."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from services.token.access_tokens import AccessTokens
from services.token.domain.grants import Grant
from services.token.domain.sessions import Lifetimes
from services.token.keys import Issuer
from services.token.refresh_secrets import RefreshSecret


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A pair of tokens; lives are in whole seconds."""

    session_id: UUID
    access_token: str = field(repr=False)
    expires_in: int
    refresh_token: str = field(repr=False)
    refresh_expires_in: int


@dataclass(frozen=True, slots=True)
class Issuing:
    """Makes the pair of tokens of a session."""

    access_tokens: AccessTokens
    lifetimes: Lifetimes

    @property
    def issuer(self) -> Issuer:
        """Return what a request that begins now issues with. Raises SigningKeyMissing."""
        return self.access_tokens.keys.issuer

    def issue(
        self,
        grant: Grant,
        secret: RefreshSecret,
        *,
        issuer: Issuer,
        refresh_expires_at: datetime,
        now: datetime,
    ) -> Issued:
        """Return a fresh access token beside the refresh token *secret*."""
        expires_at = self.lifetimes.access_end(now, grant.absolute_expires_at)
        access_token = self.access_tokens.issue(
            grant, key=issuer.key, now=now, expires_at=expires_at
        )
        return Issued(
            session_id=grant.session_id,
            access_token=access_token,
            expires_in=int((expires_at - now).total_seconds()),
            refresh_token=secret.text,
            refresh_expires_in=int((refresh_expires_at - now).total_seconds()),
        )
