"""What a route file may say, checked when the gateway starts."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from yarl import URL

from chassis.rates import RateField
from gateway.routing.header_rules import HeaderRules

Key = Literal["user", "address"]
Flag = Literal["dev_inbox", "development", "docs"]
Answer = Literal["csrf"]
SessionStep = Literal["login", "refresh", "logout"]
Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"]

MAX_SECONDS = 3600
SCOPE_PREFIX = "scope:"

_NAME = r"[a-z][a-z0-9_-]{0,31}"
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,252}[a-z0-9])?(?!:80$|:443$)(?::[1-9][0-9]{0,4})?")
_SEGMENT = re.compile(r"[A-Za-z0-9\-._~@]+|\{[a-z_]+(?:\.\.\.)?\}")
_RESERVED = "internal"
FORWARD_AUTH = "forward-auth"
"""The upstream of routes that another proxy serves, and asks us about."""

_OF_FORWARD_AUTH = frozenset({"path", "methods", "upstream", "hosts", "access", "limits", "when"})
_OPEN_TO = frozenset({"public", "optional", "user"})
# A role, or a scope-token (RFC 6749 §3.3).
_ENTRY = re.compile(rf"{_NAME}|{SCOPE_PREFIX}[\x21\x23-\x5b\x5d-\x7e]{{1,128}}")

Name = Annotated[str, Field(pattern=rf"^{_NAME}$")]
Seconds = Annotated[float, Field(gt=0, le=MAX_SECONDS)]


def _path(path: str) -> str:
    if path == "/":
        return path
    head, *segments = path.split("/")
    if head or not all(_SEGMENT.fullmatch(segment) for segment in segments):
        raise ValueError("is not a path of literal segments, {name}s and a last {name...}")
    if any(segment.endswith("...}") for segment in segments[:-1]):
        raise ValueError("{name...} stands for the rest, so it comes last")
    return path


def _host(text: str) -> str:
    if not _HOST.fullmatch(text):
        raise ValueError("is not a host in lower case, with a port unless that is 80 or 443")
    return text


def _access(access: str | tuple[str, ...]) -> str | tuple[str, ...]:
    if isinstance(access, str):
        if access not in _OPEN_TO:
            raise ValueError('is "public", "optional", "user" or a list of roles and scopes')
        return access
    for entry in access:
        if not _ENTRY.fullmatch(entry):
            raise ValueError(f"{entry!r} is neither a role nor {SCOPE_PREFIX} and a scope")
    if not access:
        raise ValueError("an empty list lets nobody in")
    return access


def _base_url(text: str) -> str:
    url = URL(text)
    if url.scheme not in ("http", "https") or not url.host or url.user or url.password:
        raise ValueError("is not an http(s) URL without credentials")
    if url.path not in ("", "/") or url.query_string or url.fragment:
        raise ValueError("must have no path: requests are forwarded under their own")
    return str(url.origin())


BaseUrl = Annotated[str, AfterValidator(_base_url)]
Host = Annotated[str, AfterValidator(_host)]


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class UpstreamSpec(_Spec):
    """A service behind the gateway, at `url` or at several `urls`; times are in seconds.

    `assertion_secrets_file` is of the upstream and not of a route: the secrets are those of one
    caller and one callee, whatever is asked.
    """

    name: Name
    url: BaseUrl | None = None
    urls: Annotated[tuple[BaseUrl, ...], Field(max_length=64)] = ()
    connect_timeout: Seconds = 2.0
    read_timeout: Seconds = 30.0
    max_requests: Annotated[int, Field(ge=1, le=100_000)] = 200
    max_waiting: Annotated[int, Field(ge=0, le=100_000)] = 100
    queue_timeout: Seconds = 1.0
    breaker_failures: Annotated[int, Field(ge=2, le=100_000)] = 5
    breaker_ratio: Annotated[float, Field(gt=0, le=1)] = 0.5
    breaker_pause: Seconds = 0.5
    health_path: Annotated[str, Field(pattern=r"^/[A-Za-z0-9\-._~/]*$")] | None = None
    health_interval: Seconds = 5.0
    health_timeout: Seconds = 1.0
    assertion_secrets_file: Path | None = None

    @property
    def addresses(self) -> tuple[str, ...]:
        """Return where it is, each address once."""
        return tuple(dict.fromkeys(self.urls or filter(None, (self.url,))))

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if (self.url is None) == (not self.urls):
            raise ValueError("needs either url or urls")
        return self


class LimitSpec(_Spec):
    """A limit several routes share: its rate, or the setting that holds it."""

    setting: str | None = None
    rate: RateField | None = None
    key: Key

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.setting is None) == (self.rate is None):
            raise ValueError("needs either setting or rate")
        return self


class RouteSpec(_Spec):
    """One entry of the table; see the head of routes.toml."""

    path: Annotated[str, AfterValidator(_path)]
    methods: Annotated[tuple[Method, ...], Field(min_length=1)]
    upstream: Name | None = None
    hosts: Annotated[tuple[Host, ...], Field(max_length=64)] = ()
    page: Annotated[str, Field(pattern=r"^[a-z-]+\.[a-z]+$")] | None = None
    answer: Answer | None = None
    access: Annotated[str | tuple[str, ...], AfterValidator(_access)]
    limits: tuple[str, ...] = ()
    body_limit: Annotated[int, Field(ge=0)] | None = None
    read_timeout: Seconds | None = None
    total_timeout: Seconds | None = None
    headers: HeaderRules = HeaderRules()
    forward_token: bool = False
    session: SessionStep | None = None
    stream_body: bool = False
    websocket: bool = False
    idle_timeout: Seconds | None = None
    bulkhead: Name | None = None
    when: Flag | None = None

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if sum(target is not None for target in (self.upstream, self.page, self.answer)) != 1:
            raise ValueError("needs either upstream or page or answer")
        return self

    @model_validator(mode="after")
    def _of_this_host_or_others(self) -> Self:
        if self.upstream == FORWARD_AUTH:
            if not self.hosts:
                raise ValueError(f"hosts: {FORWARD_AUTH} needs the hosts that the path is of")
            if foreign := sorted(self.model_fields_set - _OF_FORWARD_AUTH):
                raise ValueError(f"{foreign[0]}: is for what this gateway serves itself")
        elif self.hosts:
            raise ValueError(f"hosts: is for the upstream {FORWARD_AUTH}")
        elif self.path.startswith((f"/{_RESERVED}/", "/{")) or self.path == f"/{_RESERVED}":
            raise ValueError(f"path: must start with a word, and not with /{_RESERVED}")
        return self

    @model_validator(mode="after")
    def _websockets(self) -> Self:
        if self.websocket and "GET" not in self.methods:
            raise ValueError("websocket needs GET: that is what asks for one")
        if self.websocket and self.total_timeout:
            raise ValueError("websocket does not go with total_timeout: it ends when it is idle")
        if self.idle_timeout and not self.websocket:
            raise ValueError("idle_timeout is for routes with websocket")
        return self


class RouteFile(_Spec):
    """One file of routes."""

    limits: dict[Name, LimitSpec] = Field(default_factory=dict)
    upstream: tuple[UpstreamSpec, ...] = ()
    route: tuple[RouteSpec, ...] = ()
