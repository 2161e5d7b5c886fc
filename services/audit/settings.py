"""What audit is told by its environment."""

from datetime import timedelta
from ipaddress import ip_address
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, ValidationInfo, field_validator

from chassis.crypto import KEY_BYTES, parse_keys
from chassis.settings import Networks, ServiceSettings
from services.audit.domain.detection.rules import Thresholds


def _exact_keys(value: object) -> object:
    """Read keys as KeyList does, or none at all. Raises ValueError."""
    keys = parse_keys(value) if isinstance(value, str) else value
    if isinstance(keys, tuple) and any(len(key) != KEY_BYTES for key in keys):
        raise ValueError(f"each key needs exactly {KEY_BYTES} bytes (base64url)")
    return keys


_Keys = Annotated[tuple[bytes, ...], BeforeValidator(_exact_keys), Field(repr=False)]


class AuditSettings(ServiceSettings):
    """Settings of the audit service.

    A changed `audit_partition` applies from the end of the last partition already made.
    `trusted_proxies` and `ip_allowlist` are never blocked automatically. `detect_*` say from when
    on a pattern is an attack, `detect_block_minutes=0` that none is answered by a block. Without an
    `archive_url` nothing is archived, and nothing leaves the database.
    """

    port: int = Field(default=8104, ge=0, le=65535)
    ops_port: int = Field(default=9104, ge=0, le=65535)
    audit_partition: Literal["month", "day"] = "month"
    audit_retention_days: int = Field(default=90, ge=1, le=3650)
    trusted_proxies: Networks = ()
    ip_allowlist: Networks = ()

    detect_window_minutes: int = Field(default=60, ge=4, le=24 * 60)
    detect_spraying_accounts: int = Field(default=15, ge=2, le=10_000)
    detect_stuffing_attempts: int = Field(default=40, ge=2, le=100_000)
    detect_stuffing_addresses: int = Field(default=10, ge=2, le=1000)
    detect_guessing_addresses: int = Field(default=10, ge=2, le=10_000)
    detect_success_failures: int = Field(default=10, ge=1, le=10_000)
    detect_success_window_minutes: int = Field(default=360, ge=1, le=24 * 60)
    detect_quiet_minutes: int = Field(default=60, ge=1, le=7 * 24 * 60)
    detect_block_minutes: int = Field(default=60, ge=0, le=30 * 24 * 60)
    alert_retention_days: int = Field(default=365, ge=1, le=3650)

    archive_signing_keys: _Keys = ()
    archive_key_encryption_keys: _Keys = ()
    archive_url: str | None = None
    archive_personal_days: int = Field(default=365, ge=1, le=36500)
    archive_s3_endpoint: str | None = None
    archive_s3_region: str = "us-east-1"
    archive_s3_access_key_id: str | None = None
    archive_s3_secret_access_key: SecretStr | None = Field(default=None, validate_default=True)
    archive_timeout_seconds: float = Field(default=30.0, gt=0, le=600)

    @field_validator("archive_url")
    @classmethod
    def _a_folder_or_a_bucket(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        plain = not (parts.query or parts.fragment or parts.username or parts.password)
        folder = parts.scheme == "file" and not parts.netloc and parts.path.startswith("/")
        bucket = parts.scheme == "s3" and bool(parts.netloc)
        if not plain or not (folder or bucket):
            raise ValueError("must be file:///FOLDER or s3://BUCKET/PREFIX")
        return value

    @field_validator("archive_url")
    @classmethod
    def _with_its_keys(cls, value: str | None, info: ValidationInfo) -> str | None:
        names = ("archive_signing_keys", "archive_key_encryption_keys")
        missing = [name.upper() for name in names if info.data.get(name) == ()]
        if value is not None and missing:
            raise ValueError(f"needs {' and '.join(missing)}")
        return value

    @field_validator("archive_s3_endpoint")
    @classmethod
    def _encrypted(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be an http(s) address")
        production = info.data.get("environment") != "development"
        if parts.scheme == "http" and production and not _is_loopback(parts.hostname):
            raise ValueError("must be https but for loopback hosts or ENVIRONMENT=development")
        return value

    @field_validator("archive_s3_secret_access_key")
    @classmethod
    def _both_or_none(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if (value is None) != (info.data.get("archive_s3_access_key_id") is None):
            raise ValueError("comes with ARCHIVE_S3_ACCESS_KEY_ID: both or neither")
        return value

    @property
    def thresholds(self) -> Thresholds:
        """Return from when on a pattern is an attack."""
        return Thresholds(
            window=timedelta(minutes=self.detect_window_minutes),
            spraying_accounts=self.detect_spraying_accounts,
            stuffing_attempts=self.detect_stuffing_attempts,
            stuffing_addresses=self.detect_stuffing_addresses,
            guessing_addresses=self.detect_guessing_addresses,
            success_failures=self.detect_success_failures,
            success_window=timedelta(minutes=self.detect_success_window_minutes),
            quiet=timedelta(minutes=self.detect_quiet_minutes),
            block=timedelta(minutes=self.detect_block_minutes),
        )

    @property
    def evidence_life(self) -> timedelta:
        """Return the longest time any rule looks back."""
        return max(self.thresholds.window, self.thresholds.success_window)

    @property
    def audit_retention(self) -> timedelta:
        """Return how old a whole partition must be before it leaves the database."""
        return timedelta(days=self.audit_retention_days)

    @property
    def archive_personal_retention(self) -> timedelta:
        """Return for how long after its end an archived partition keeps its key."""
        return timedelta(days=self.archive_personal_days)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
