"""How token is configured."""

from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from chassis.rates import Rate, RateField
from chassis.settings import KeyList, ServiceSettings
from services.token.domain.sessions import Lifetimes

_AUTHENTICATE_MARGIN_SECONDS = 2.0


class TokenSettings(ServiceSettings):
    """What the token service is told, besides what every service is told.

    `authenticate_timeout` (seconds) is how long a login waits for identity: identity's hash
    deadline and 2 s more (D4).
    """

    port: int = Field(default=8102, ge=0, le=65535)
    ops_port: int = Field(default=9102, ge=0, le=65535)
    issuer: str = Field(min_length=1, pattern=r"^https?://[^\s/?#]+[^\s?#]*$")
    audience: str = Field(default="gatehouse", min_length=1)
    identity_url: str
    assertion_secrets_from_identity: KeyList
    assertion_secrets_to_identity: KeyList
    access_token_expire_minutes: int = Field(default=15, ge=1, le=60)
    refresh_token_expire_days: int = Field(default=7, ge=1, le=365)
    refresh_token_absolute_days: int = Field(default=30, ge=1, le=365)
    refresh_grace_seconds: int = Field(default=10, ge=0, le=60)
    max_sessions_per_user: int = Field(default=1, ge=0, le=1000)
    rate_limit_per_user: RateField = Rate.parse("10/minute")
    signing_algorithm: Literal["ES256", "EdDSA", "RS256"] = "ES256"
    signing_key_encryption_keys: KeyList
    key_rotation_days: int = Field(default=30, ge=1, le=365)
    redis_url: SecretStr | None = None
    oauth_clients_file: Path | None = None
    authenticate_timeout: float = Field(default=7.0, gt=_AUTHENTICATE_MARGIN_SECONDS, le=60)

    @property
    def access_token_ttl(self) -> timedelta:
        """Return how long an access token is valid."""
        return timedelta(minutes=self.access_token_expire_minutes)

    @property
    def lifetimes(self) -> Lifetimes:
        """Return how long tokens and sessions last."""
        return Lifetimes(
            access=self.access_token_ttl,
            idle=timedelta(days=self.refresh_token_expire_days),
            absolute=timedelta(days=self.refresh_token_absolute_days),
        )

    @property
    def authenticate_deadline(self) -> float:
        """Return the seconds after which identity need not answer any more."""
        return self.authenticate_timeout - _AUTHENTICATE_MARGIN_SECONDS
