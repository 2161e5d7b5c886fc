"""How the gateway is configured; the only reader of its environment."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator
from yarl import URL

from chassis.cores import available_cores
from chassis.rates import Rate, RateField
from chassis.settings import KeyList, Networks, ProcessSettings
from gateway.weak_secrets import find_weak

FORWARD_AUTH_DOOR = "forward-auth"

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def _words(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


Words = Annotated[tuple[str, ...], BeforeValidator(_words)]
Workers = Annotated[
    int,
    Field(ge=1, le=1_000),
    BeforeValidator(lambda value: available_cores() if value == "auto" else value),
]


class GatewaySettings(ProcessSettings):
    """What the gateway is told; rates read like `10/minute`."""

    port: int = Field(default=8000, ge=0, le=65535)
    ops_port: int = Field(default=9000, ge=0, le=65535)
    public_base_url: str
    audience: str = "gatehouse"

    identity_url: str
    token_url: str
    notify_url: str
    audit_url: str
    assertion_secrets_to_identity: KeyList
    assertion_secrets_to_token: KeyList
    assertion_secrets_to_notify: KeyList
    assertion_secrets_to_audit: KeyList
    csrf_keys: KeyList

    redis_url: SecretStr | None = None
    forward_auth_port: int | None = Field(default=None, ge=0, le=65535)
    gateway_replicas: int = Field(default=1, ge=1, le=10_000)
    gateway_workers: Workers = 1
    limit_leases: bool = True

    trusted_proxies: Networks = ()
    allowed_hosts: Words = ()
    cors_allowed_origins: Words = ()
    routes_file: Path | None = None
    state_dir: Path | None = None
    max_open_requests_per_address: int = Field(default=100, ge=1, le=100_000)
    max_connections: int | None = Field(default=None, ge=16, le=1_000_000)
    max_connections_per_address: int = Field(default=512, ge=1, le=1_000_000)
    shed_above_ms: int = Field(default=250, ge=0, le=60_000)
    dev_inbox: bool = False
    docs_enabled: bool | None = None

    rate_limit_per_user: RateField = Rate.parse("10/minute")
    rate_limit_per_ip: RateField = Rate.parse("50/minute")
    rate_limit_login: RateField = Rate.parse("5/minute")
    rate_limit_register: RateField = Rate.parse("3/minute")
    rate_limit_password_reset: RateField = Rate.parse("3/hour")
    rate_limit_refresh: RateField = Rate.parse("600/minute")
    rate_limit_account: RateField = Rate.parse("120/minute")
    rate_limit_admin: RateField = Rate.parse("600/minute")
    rate_limit_oauth: RateField = Rate.parse("6000/minute")

    @field_validator("public_base_url")
    @classmethod
    def _origin(cls, value: str) -> str:
        """Take the URL exactly as it stands: it is the `iss` of every token."""
        url = URL(value)
        if url.scheme not in ("http", "https") or not url.host or url.user:
            raise ValueError("is not an http(s) URL such as https://auth.example.com")
        if value != str(url.origin()):
            raise ValueError("must be an origin: no path, no slash at the end, no default port")
        return value

    @field_validator("cors_allowed_origins")
    @classmethod
    def _exact_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            url = URL(origin)
            if url.scheme not in ("http", "https") or not url.host or str(url.origin()) != origin:
                raise ValueError(f"{origin!r} is not an origin such as https://app.example.com")
        return value

    @model_validator(mode="after")
    def _fit_for_production(self) -> Self:
        """Refuse, all at once, what is tolerable on a developer's machine alone."""
        if self.environment != "production":
            return self
        complaints = list(find_weak(self.secrets))
        if URL(self.public_base_url).scheme == "http" and not self.on_plain_loopback:
            complaints.append("PUBLIC_BASE_URL: must be https when ENVIRONMENT=production")
        if complaints:
            raise ValueError("; ".join(complaints))
        return self

    @model_validator(mode="after")
    def _asked_by_proxies_alone(self) -> Self:
        if self.forward_auth_port is not None and not self.trusted_proxies:
            raise ValueError("FORWARD_AUTH_PORT: needs TRUSTED_PROXIES, for nobody else may ask")
        return self

    @property
    def doors(self) -> Mapping[str, int]:
        """Return the ports that are served, by name; each worker inherits all of them."""
        asked = self.forward_auth_port
        return {"http": self.port} | ({} if asked is None else {FORWARD_AUTH_DOOR: asked})

    @property
    def share(self) -> int:
        """Return by how many the limits are divided while each process counts for itself."""
        return self.gateway_replicas * self.gateway_workers

    @property
    def hosts(self) -> frozenset[str]:
        """Return the hosts that are served; empty (any) while the public URL is plain http."""
        public = URL(self.public_base_url)
        if public.scheme != "https":
            return frozenset()
        own = (public.host_port_subcomponent or "", f"{public.host_subcomponent}:{public.port}")
        return frozenset(host.lower() for host in (*own, *self.allowed_hosts))

    @property
    def on_plain_loopback(self) -> bool:
        """Return whether it is served to this machine alone, without TLS."""
        public = URL(self.public_base_url)
        return public.scheme == "http" and public.host in _LOOPBACK

    @property
    def serves_docs(self) -> bool:
        """Return whether the API's reference is public: by default in development alone."""
        if self.docs_enabled is None:
            return self.environment == "development"
        return self.docs_enabled

    @property
    def services(self) -> dict[str, str]:
        """Return where each of our own services is."""
        return {
            "identity": self.identity_url,
            "token": self.token_url,
            "notify": self.notify_url,
            "audit": self.audit_url,
        }

    @property
    def assertion_secrets(self) -> dict[str, tuple[bytes, ...]]:
        """Return the secrets of each edge to one of our own services (D13)."""
        return {
            "identity": self.assertion_secrets_to_identity,
            "token": self.assertion_secrets_to_token,
            "notify": self.assertion_secrets_to_notify,
            "audit": self.assertion_secrets_to_audit,
        }

    @property
    def secrets(self) -> dict[str, tuple[bytes, ...]]:
        """Return the secrets of the platform itself, by setting."""
        edges = {f"ASSERTION_SECRETS_TO_{k.upper()}": v for k, v in self.assertion_secrets.items()}
        return {"CSRF_KEYS": self.csrf_keys, **edges}

    @property
    def rates(self) -> dict[str, Rate]:
        """Return the rates by the names routes.toml refers to."""
        names = [name for name in type(self).model_fields if name.startswith("rate_limit_")]
        return {name: getattr(self, name) for name in names}
