"""How identity is configured: the only reader of its environment."""

import re
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from chassis.crypto import KEY_BYTES, parse_keys
from chassis.rates import Rate, RateField
from chassis.settings import KeyList, ServiceSettings
from services.identity.domain.lockout import Limits

_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,16}")


def _aes_256(keys: tuple[bytes, ...]) -> tuple[bytes, ...]:
    if any(len(key) != KEY_BYTES for key in keys):
        raise ValueError("each key must have exactly 32 bytes (AES-256)")
    return keys


def _peppers(value: object) -> object:
    """Read `kid:secret,kid:secret`: the first is used, all verify."""
    if not isinstance(value, str):
        return value
    pairs = [part.strip().partition(":") for part in value.split(",") if part.strip()]
    if not all(separator and _KEY_ID.fullmatch(kid) for kid, separator, _ in pairs):
        raise ValueError("must look like kid:base64url,kid:base64url")
    return tuple((kid, parse_keys(secret)[0]) for kid, _, secret in pairs)


Peppers = Annotated[tuple[tuple[str, bytes], ...], BeforeValidator(_peppers), Field(repr=False)]


class IdentitySettings(ServiceSettings):
    """What identity is told, besides what every service is."""

    port: int = Field(default=8101, ge=0, le=65535)
    ops_port: int = Field(default=9101, ge=0, le=65535)
    assertion_secrets_from_token: KeyList
    assertion_secrets_to_token: KeyList
    token_url: str = "http://127.0.0.1:8102"
    identity_key: KeyList
    mail_secrets_keys: Annotated[KeyList, AfterValidator(_aes_256)]

    password_preset: Literal["seed", "asvs", "nist"] = "seed"
    min_password_length: int | None = Field(default=None, ge=8, le=128)
    require_uppercase: bool | None = None
    require_numbers: bool | None = None
    require_special_chars: bool | None = None

    max_login_attempts: int = Field(default=5, ge=1, le=100)
    lockout_duration_minutes: int = Field(default=30, ge=1, le=60 * 24 * 7)
    max_login_failures_per_source: int = Field(default=50, ge=1, le=10_000)
    hash_workers: int | None = Field(default=None, ge=1, le=256)
    hash_queue_seconds: float = Field(default=5.0, gt=0, le=60)
    password_peppers: Peppers = ()

    rate_limit_password_reset: RateField = Rate.parse("3/hour")
    registration_private: bool = False
    unverified_account_days: int = Field(default=30, ge=0, le=3650)

    bootstrap_admin_email: str | None = None
    bootstrap_admin_password: SecretStr | None = None
    bootstrap_admin_username: str = "admin"
    bootstrap_admin_must_change: bool = True

    @property
    def limits(self) -> Limits:
        """Return how often somebody may fail."""
        return Limits(
            max_attempts=self.max_login_attempts,
            lockout=timedelta(minutes=self.lockout_duration_minutes),
            max_per_source=self.max_login_failures_per_source,
        )

    @property
    def unverified_life(self) -> timedelta | None:
        """Return how long an account may wait to be verified; None for ever."""
        return timedelta(days=self.unverified_account_days) or None

    @property
    def password_rules(self) -> dict[str, int | bool | None]:
        """Return what is said besides the preset; None where nothing is."""
        return {
            "min_length": self.min_password_length,
            "require_uppercase": self.require_uppercase,
            "require_numbers": self.require_numbers,
            "require_special_chars": self.require_special_chars,
        }

    @model_validator(mode="after")
    def _bootstrap_is_complete(self) -> "IdentitySettings":
        if (self.bootstrap_admin_email is None) != (self.bootstrap_admin_password is None):
            raise ValueError("BOOTSTRAP_ADMIN_EMAIL and BOOTSTRAP_ADMIN_PASSWORD go together")
        return self
