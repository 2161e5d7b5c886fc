"""The settings of the service, without what a check has no need of."""

import secrets

from pydantic import Field

from chassis.settings import KeyList
from gateway.settings import GatewaySettings


def _any() -> tuple[bytes, ...]:
    return (secrets.token_bytes(32),)


class CheckSettings(GatewaySettings):
    """Where nothing else is set: somewhere for the platform, and secrets of the moment."""

    public_base_url: str = "http://localhost:8000"
    identity_url: str = "http://identity:8101"
    token_url: str = "http://token:8102"
    notify_url: str = "http://notify:8103"
    audit_url: str = "http://audit:8104"
    assertion_secrets_to_identity: KeyList = Field(default_factory=_any)
    assertion_secrets_to_token: KeyList = Field(default_factory=_any)
    assertion_secrets_to_notify: KeyList = Field(default_factory=_any)
    assertion_secrets_to_audit: KeyList = Field(default_factory=_any)
    csrf_keys: KeyList = Field(default_factory=_any)
