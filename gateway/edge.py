"""The way of a request through the gateway, in the order in which it is judged.

Client address → open requests → blocks → framing → host → path → route → mode and CSRF → token →
limits → upstream, page or answer of our own. What is refused on the way is told to others later
(`gateway.denials`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import Counter
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from chassis.errors import Problem
from chassis.jwt import AccessToken
from chassis.metrics import Metrics
from chassis.middleware import SECURITY_HEADERS, answer, state_of
from chassis.networks import Address
from contracts.denials import REASONS, REPORT_HEADER
from gateway.address import ClientAddresses, limit_key
from gateway.authentication import Authentication
from gateway.block_feed import BlockFeed
from gateway.browser.answers import SessionAnswers
from gateway.browser.mode import Credentials
from gateway.browser.wiring import Browsers
from gateway.cors import CrossOrigin
from gateway.denials import Denials
from gateway.errors import MisdirectedRequest, RateLimited
from gateway.framing import Framing, framing_of, values_of
from gateway.limits.headers import rate_limit_headers
from gateway.limits.limiter import Demand, Limiter
from gateway.open_requests import OpenRequests
from gateway.pages.hosted import HostedPages
from gateway.paths import segments_of, target_of
from gateway.proxy.inbound import Forwarder, Inbound
from gateway.routing.live import LiveRoutes
from gateway.routing.table import Route
from gateway.websocket.client import client_side_of
from gateway.websocket.handshake import asks_for_websocket

# What a product's own answers get when they do not say it themselves; ours get all of the chassis'.
_PRODUCT_HEADERS = {
    name: SECURITY_HEADERS[name] for name in ("Strict-Transport-Security", "X-Content-Type-Options")
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What judges and serves; *hosts* is empty when any Host will do."""

    routes: LiveRoutes
    hosts: frozenset[str]
    addresses: ClientAddresses
    blocks: BlockFeed
    open_requests: OpenRequests
    denials: Denials
    origins: CrossOrigin
    authentication: Authentication
    browsers: Browsers
    limiter: Limiter
    proxy: Forwarder
    pages: HostedPages
    metrics: Metrics


class Edge:
    """The gateway's ASGI app, under the chassis' RequestMiddleware."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._limited = Counter(
            "gatehouse_gateway_rate_limited",
            "Requests refused because a limit was used up.",
            ["limit"],
            registry=parts.metrics.registry,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; problems are answered here, with the headers known so far."""
        if scope["type"] != "http":
            return
        reply, address = _Reply(send, self._parts.browsers.answers), self._address(scope)
        try:
            with self._parts.open_requests.holding(address):
                await self._serve(scope, address, receive, reply)
        except Problem as problem:
            self._parts.denials.note(problem, scope.get("route"), address)
            if reply.started:
                raise
            state_of(scope).headers = SECURITY_HEADERS
            await answer(problem, scope, receive, reply)

    async def _serve(
        self, scope: Scope, address: Address, receive: Receive, reply: "_Reply"
    ) -> None:
        parts = self._parts
        parts.blocks.check(address)
        framing = framing_of(scope)
        reply.add(parts.origins.headers(scope))
        self._check_host(framing)
        segments = segments_of(scope["raw_path"])
        table = parts.routes.table
        preflight = parts.origins.preflight(scope, table.methods_of(segments))
        if preflight is not None:
            await preflight(scope, receive, reply)
            return
        route = scope["route"] = table.find(segments, scope["method"])
        credentials, token = await self._admit(scope, route, reply)
        await self._limit(route, address, token, reply)
        if route.upstream is None:
            own = await self._own_answer(route, Request(scope))
            await own(scope, receive, reply)
            return
        reply.expect(route, credentials)
        request = _inbound(scope, framing, credentials, token, address)
        if not request.upstream.service:
            request.state.headers = _PRODUCT_HEADERS
        await parts.proxy.forward(request, receive, reply)
        if reply.report:
            parts.denials.count(reply.report, route, address, actor=token.sub if token else None)

    async def _admit(
        self, scope: Scope, route: Route, reply: "_Reply"
    ) -> tuple[Credentials, AccessToken | None]:
        modes = self._parts.browsers.modes
        reply.add(modes.headers(scope, route))
        credentials = modes.admit(scope, route)
        token = await self._parts.authentication.token(route, credentials)
        modes.check_session(credentials, token)
        return credentials, token

    async def _own_answer(self, route: Route, request: Request) -> Response:
        if route.page is not None:
            return self._parts.pages.answer(route.page, request)
        return await self._parts.browsers.csrf.answer(request)

    def _check_host(self, framing: Framing) -> None:
        if self._parts.hosts and framing.host.lower() not in self._parts.hosts:
            raise MisdirectedRequest

    def _address(self, scope: Scope) -> Address:
        peer = scope["client"][0] if scope["client"] else None
        forwarded_for = values_of(scope["headers"], b"x-forwarded-for")
        return self._parts.addresses.find(peer, forwarded_for)

    async def _limit(
        self, route: Route, address: Address, token: AccessToken | None, reply: "_Reply"
    ) -> None:
        if not route.limits:
            return
        decision = await self._parts.limiter.decide(
            demands_of(route, address, token),
            # Where a token is optional, one of an ended session still says who it was.
            None if route.access == "optional" else token,
        )
        reply.add(rate_limit_headers(decision))
        if not decision.allowed:
            self._limited.labels(decision.tightest.demand.name).inc()
            raise RateLimited(retry_after=decision.retry_after)


def demands_of(route: Route, address: Address, token: AccessToken | None) -> Sequence[Demand]:
    """Return what a request to *route* is counted as."""
    key = limit_key(address)
    user = str(token.sub) if token else None
    return [limit.demand(address=key, user=user) for limit in route.limits]


class _Reply:
    """The way back: adds headers to the answer unless the upstream wrote them itself."""

    def __init__(self, send: Send, answers: SessionAnswers) -> None:
        self._send = send
        self._answers = answers
        self._route: Route | None = None
        self._credentials = Credentials()
        self._headers: dict[str, str] = {}
        self._varies: dict[str, None] = {}
        self.started = False
        self.report: str | None = None
        """What the service behind wants told of its refusal."""

    def add(self, headers: Mapping[str, str]) -> None:
        """Let the answer carry *headers*."""
        self._headers.update(headers)
        self._varies.update(dict.fromkeys(self._headers.pop("Vary", "").split(", ")))

    def expect(self, route: Route, credentials: Credentials) -> None:
        """Say what was asked, so that a session in the answer becomes cookies."""
        self._route, self._credentials = route, credentials

    async def __call__(self, message: Message) -> None:
        """Send one message."""
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            self.report = _report_of(headers, self._route)
            self._answers.finish(message["status"], headers, self._route, self._credentials)
            self.started = True
            for name, value in self._headers.items():
                headers.setdefault(name, value)
            if varies := ", ".join(filter(None, self._varies)):
                headers.add_vary_header(varies)
        await self._send(message)


def _report_of(headers: Mapping[str, str], route: Route | None) -> str | None:
    """Return the reason that one of our own services wants reported; products have no say."""
    reason = headers.get(REPORT_HEADER)
    ours = route is not None and route.upstream is not None and route.upstream.service
    return reason if ours and reason in REASONS else None


def _inbound(
    scope: Scope,
    framing: Framing,
    credentials: Credentials,
    token: AccessToken | None,
    address: Address,
) -> Inbound:
    route: Route = scope["route"]
    if route.upstream is None:
        raise RuntimeError("a route without an upstream is served here")
    return Inbound(
        method=scope["method"],
        target=target_of(scope["raw_path"], scope["query_string"]),
        headers=scope["headers"],
        framing=framing,
        route=route,
        upstream=route.upstream,
        token=token,
        address=address,
        state=state_of(scope),
        in_browser=credentials.in_browser,
        told=credentials.told_to(route, token),
        proven_sid=credentials.proven_sid,
        websocket=client_side_of(scope) if route.websocket and asks_for_websocket(scope) else None,
    )
