"""One request, judged as the gateway would judge it, and sent to nobody."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from starlette.types import Message, Receive, Scope, Send

from chassis.clock import Clock, SystemClock
from chassis.jwt import AccessToken
from chassis.metrics import Metrics
from chassis.middleware import RequestMiddleware
from chassis.networks import Address
from gateway.address import ClientAddresses
from gateway.app import parts_of
from gateway.browser.cookies import PlatformCookies
from gateway.browser.csrf import CsrfTokens
from gateway.browser.mode import CSRF_HEADER
from gateway.edge import Edge
from gateway.framing import values_of
from gateway.knowledge import knowledge_of, signers_of
from gateway.limits.memory import MemoryLimiter
from gateway.proxy.headers import OutgoingHeaders
from gateway.proxy.inbound import Inbound
from gateway.routing.table import Route
from gateway.routing.wiring import Site
from gateway.settings import GatewaySettings
from gateway.tokens import digest_of

SOMEBODY = UUID("00000000-0000-7000-8000-000000000001")
"""The user a check speaks of."""

_SUPPOSED = "supposed"
_PORT = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The request as the command line tells it; *roles* None means nobody is logged in.

    *in_browser* means by cookies, from a page that knows the CSRF token (D14).
    """

    method: str
    target: str
    headers: Sequence[tuple[str, str]] = ()
    peer: str = "127.0.0.1"
    roles: frozenset[str] | None = None
    scope: str = ""
    in_browser: bool = False

    def values(self, name: str) -> list[str]:
        """Return the values of all headers called *name* (lower case)."""
        return [value for key, value in self.headers if key.lower() == name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What became of the request; `passed_on` is what the upstream would get, when it would."""

    status: int
    problem: Mapping[str, Any]
    headers: Mapping[str, str]
    client: Address
    route: Route | None
    token: AccessToken | None
    passed_on: Mapping[str, str] | None


@dataclass(slots=True)
class _Nowhere:
    """Takes the place of the proxy: keeps what would be sent, and answers that it was."""

    headers: OutgoingHeaders
    sent: Mapping[str, str] | None = None

    async def forward(self, request: Inbound, receive: Receive, send: Send) -> None:
        """Refuse what the proxy refuses before it sends anything. Raises PayloadTooLarge."""
        del receive
        request.check_length()
        self.sent = {n.decode(): v.decode("latin-1") for n, v in self.headers.build(request)}
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@dataclass(slots=True)
class _Answer:
    """Collects what the edge says."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    async def __call__(self, message: Message) -> None:
        """Take one message."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {n.decode(): v.decode("latin-1") for n, v in message["headers"]}
        self.body += message.get("body", b"")

    @property
    def problem(self) -> Mapping[str, Any]:
        """Return the problem of a refusal; empty for anything else."""
        if "problem+json" not in self.headers.get("content-type", ""):
            return {}
        document: dict[str, Any] = json.loads(self.body)
        return document


async def rehearse(asked: Asked, settings: GatewaySettings, site: Site) -> Findings:
    """Have the edge judge *asked*."""
    clock, metrics = SystemClock(), Metrics()
    knowledge = knowledge_of(settings, signers_of(settings, clock), clock, metrics)
    token = None if asked.roles is None else _token(asked.roles, asked.scope, clock)
    if token is not None:
        knowledge.tokens.add(digest_of(_SUPPOSED), token)
    nowhere = _Nowhere(OutgoingHeaders.under(settings.public_base_url))
    limiter = MemoryLimiter(clock, share=settings.share)
    edge = Edge(
        parts_of(settings, site, knowledge, limiter=limiter, proxy=nowhere, metrics=metrics)
    )
    scope, answer = _scope(asked, settings), _Answer()
    app = RequestMiddleware(edge, metrics=metrics, trust_request_id=False)
    await app(scope, _no_body, answer)
    forwarded_for = values_of(scope["headers"], b"x-forwarded-for")
    return Findings(
        status=answer.status,
        problem=answer.problem,
        headers=answer.headers,
        client=ClientAddresses(settings.trusted_proxies).find(asked.peer, forwarded_for),
        route=scope.get("route"),
        token=token,
        passed_on=nowhere.sent,
    )


def _token(roles: frozenset[str], scope: str, clock: Clock) -> AccessToken:
    now = clock.now()
    return AccessToken(
        sub=str(SOMEBODY),
        sid=str(SOMEBODY),
        jti=_SUPPOSED,
        iat=now,
        exp=now + timedelta(hours=1),
        auth_time=now,
        amr=("pwd",),
        roles=roles,
        scope=scope,
        ver=1,
        kid=_SUPPOSED,
    )


def _scope(asked: Asked, settings: GatewaySettings) -> Scope:
    """Return the request as the server would hand it over."""
    path, _, query = asked.target.partition("?")
    headers = [
        (name.lower().encode("latin-1"), value.encode("utf-8")) for name, value in asked.headers
    ]
    if not asked.values("host"):
        host = settings.public_base_url.partition("://")[2]
        headers.append((b"host", host.encode("latin-1")))
    headers += _credentials(asked, settings)
    raw_path = path.encode("utf-8")
    return {
        "type": "http",
        "http_version": "1.1",
        "method": asked.method,
        "scheme": "http",
        "path": path,
        "raw_path": raw_path,
        "query_string": query.encode("utf-8"),
        "headers": headers,
        "client": (asked.peer, _PORT),
        "server": None,
    }


def _credentials(asked: Asked, settings: GatewaySettings) -> list[tuple[bytes, bytes]]:
    if asked.roles is None:
        return []
    if not asked.in_browser:
        return [(b"authorization", f"Bearer {_SUPPOSED}".encode())]
    cookies = PlatformCookies(secure=not settings.on_plain_loopback)
    csrf = CsrfTokens(settings.csrf_keys).issue(SOMEBODY)
    stored = (cookies.write("access", _SUPPOSED), cookies.write("csrf", csrf))
    sent = "; ".join(cookie.partition(";")[0] for cookie in stored)
    return [(b"cookie", sent.encode()), (CSRF_HEADER.encode(), csrf.encode())]


async def _no_body() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}
