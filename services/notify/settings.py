"""Notify's settings: the only reader of the environment."""

from datetime import timedelta
from email.utils import getaddresses, parseaddr
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator

from chassis.crypto import KEY_BYTES
from chassis.settings import KeyList, ServiceSettings
from services.notify.domain.contents import InvalidAddressError, mailbox
from services.notify.domain.messages import RetryPolicy

_MAX_PORT = 65535
_HEADROOM = timedelta(seconds=30)

_SENDGRID_RELAY = "smtp.sendgrid.net"
_SENDGRID_USERNAME = "apikey"
"""SendGrid's relay knows everybody by this name; the password is the API key."""


def _address(text: str) -> str:
    """Return a plain address. Raises ValueError."""
    try:
        return mailbox(text)
    except InvalidAddressError:
        raise ValueError("is not an e-mail address") from None


def _exact_keys(keys: tuple[bytes, ...]) -> tuple[bytes, ...]:
    if any(len(key) != KEY_BYTES for key in keys):
        raise ValueError(f"each key needs exactly {KEY_BYTES} bytes (base64url)")
    return keys


class NotifySettings(ServiceSettings):
    """What notify is told, beside what every service is."""

    port: int = Field(default=8103, ge=0, le=_MAX_PORT)
    ops_port: int = Field(default=9103, ge=0, le=_MAX_PORT)
    public_base_url: str
    mail_transport: Literal["smtp", "sendgrid-smtp", "sendgrid-api", "inbox", "console"] = "smtp"
    mail_from: str
    mail_secrets_keys: Annotated[KeyList, AfterValidator(_exact_keys)]
    mail_workers: int = Field(default=4, ge=1, le=64)
    mail_retry_first_seconds: float = Field(default=5.0, gt=0, le=3600)
    mail_retry_cap_seconds: float = Field(default=1800.0, gt=0, le=86400)
    mail_max_attempts: int = Field(default=50, ge=1, le=1000)
    message_retention_days: int = Field(default=90, ge=1, le=3650)
    security_email: Annotated[str, AfterValidator(_address)] | None = None
    smtp_host: str | None = Field(default=None, validate_default=True)
    smtp_port: int | None = Field(default=None, ge=1, le=_MAX_PORT)
    smtp_username: str | None = None
    smtp_password: SecretStr | None = Field(default=None, validate_default=True)
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", validate_default=True
    )
    smtp_ca_file: Path | None = None
    smtp_timeout_seconds: float = Field(default=60.0, gt=0, le=600)

    sendgrid_api_key: SecretStr | None = Field(default=None, validate_default=True)
    sendgrid_api_url: str = "https://api.sendgrid.com/v3/mail/send"
    sendgrid_timeout_seconds: float = Field(default=30.0, gt=0, le=600)

    @field_validator("public_base_url")
    @classmethod
    def _plain_origin(cls, value: str) -> str:
        """Keep scheme, host and path: links are made by appending to it."""
        _plain_address(value)
        return value.rstrip("/")

    @field_validator("mail_transport")
    @classmethod
    def _no_toys_in_production(cls, value: str, info: ValidationInfo) -> str:
        toy = value in ("inbox", "console")
        if toy and info.data.get("environment") != "development":
            raise ValueError(f"{value} is for ENVIRONMENT=development only")
        return value

    @field_validator("mail_from")
    @classmethod
    def _one_sender(cls, value: str) -> str:
        addresses = getaddresses([value])
        if not value.isprintable() or len(addresses) != 1:
            raise ValueError("must be one address, or Name <address>")
        _address(addresses[0][1])
        return value

    @field_validator("smtp_host")
    @classmethod
    def _host_for_smtp(cls, value: str | None, info: ValidationInfo) -> str | None:
        transport = info.data.get("mail_transport")
        if value is None and transport == "smtp":
            raise ValueError("is needed with MAIL_TRANSPORT=smtp")
        return _SENDGRID_RELAY if value is None and transport == "sendgrid-smtp" else value

    @field_validator("smtp_username")
    @classmethod
    def _the_key_is_enough(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("mail_transport") == "sendgrid-smtp":
            raise ValueError("SENDGRID_API_KEY takes its place with MAIL_TRANSPORT=sendgrid-smtp")
        return value

    @field_validator("smtp_password")
    @classmethod
    def _both_or_none(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        told = "smtp_username" in info.data
        if told and (value is None) != (info.data["smtp_username"] is None):
            raise ValueError("SMTP_USERNAME and SMTP_PASSWORD are given both or not at all")
        return value

    @field_validator("smtp_security")
    @classmethod
    def _no_plain_text_in_production(cls, value: str, info: ValidationInfo) -> str:
        production = info.data.get("environment") != "development"
        host = info.data.get("smtp_host")
        if value == "none" and production and host is not None and not _is_loopback(host):
            raise ValueError("none is for loopback hosts or ENVIRONMENT=development only")
        return value

    @field_validator("smtp_ca_file")
    @classmethod
    def _readable(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError("there is no such file")
        return value

    @field_validator("sendgrid_api_key")
    @classmethod
    def _key_for_sendgrid(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        """Ask for a key that fits into a header: a stray line break is told here, not by a 401."""
        transport = str(info.data.get("mail_transport"))
        if value is None and transport.startswith("sendgrid-"):
            raise ValueError(f"is needed with MAIL_TRANSPORT={transport}")
        key = "" if value is None else value.get_secret_value()
        if not key.isascii() or not key.isprintable() or " " in key:
            raise ValueError("must be printable ASCII without spaces or line breaks")
        return value

    @field_validator("sendgrid_api_url")
    @classmethod
    def _encrypted(cls, value: str, info: ValidationInfo) -> str:
        parts = _plain_address(value)
        production = info.data.get("environment") != "development"
        if parts.scheme == "http" and production and not _is_loopback(parts.hostname or ""):
            raise ValueError("must be https but for loopback hosts or ENVIRONMENT=development")
        return value

    @property
    def smtp_credentials(self) -> tuple[str, str] | None:
        """Return user and password for the mail server; for SendGrid's they follow from the key."""
        if self.mail_transport == "sendgrid-smtp" and self.sendgrid_api_key is not None:
            return _SENDGRID_USERNAME, self.sendgrid_api_key.get_secret_value()
        if self.smtp_username is None or self.smtp_password is None:
            return None
        return self.smtp_username, self.smtp_password.get_secret_value()

    @property
    def sender(self) -> tuple[str, str]:
        """Return display name and address of MAIL_FROM."""
        name, address = parseaddr(self.mail_from)
        return name, mailbox(address)

    @property
    def retry_policy(self) -> RetryPolicy:
        """Return when a mail is tried again."""
        return RetryPolicy(
            first=timedelta(seconds=self.mail_retry_first_seconds),
            cap=timedelta(seconds=self.mail_retry_cap_seconds),
            max_attempts=self.mail_max_attempts,
        )

    @property
    def delivery_timeout(self) -> timedelta:
        """Return how long one delivery may take at most."""
        by_api = self.mail_transport == "sendgrid-api"
        seconds = self.sendgrid_timeout_seconds if by_api else self.smtp_timeout_seconds
        return timedelta(seconds=seconds)

    @property
    def lease(self) -> timedelta:
        """Return how long a mail stays claimed: longer than any delivery takes."""
        return self.delivery_timeout + _HEADROOM

    @property
    def message_retention(self) -> timedelta:
        """Return how long a settled mail stays in the ledger."""
        return timedelta(days=self.message_retention_days)


def _plain_address(text: str) -> SplitResult:
    """Return the parts of an http(s) address. Raises ValueError."""
    parts = urlsplit(text)
    plain = not (parts.query or parts.fragment or parts.username or parts.password)
    if parts.scheme not in ("http", "https") or not parts.hostname or not plain:
        raise ValueError("must be an http(s) address without query, fragment or user")
    return parts


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
