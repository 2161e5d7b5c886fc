"""The way of a request through the gateway, in the order in which it is judged.

Client address → open requests → blocks → framing → host → path → route → load → mode and CSRF →
token → limits → upstream, page or answer of our own. What is refused on the way is told to others
later (`gateway.denials`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from prometheus_client import Counter
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from chassis.errors import Problem
from chassis.jwt import AccessToken
from chassis.metrics import Metrics
from chassis.middleware import OWN_HEADERS, answer, state_of
from chassis.networks import Address
from gateway.address import ClientAddresses, limit_key
from gateway.authentication import Authentication
from gateway.block_feed import BlockFeed
from gateway.browser.mode import Credentials
from gateway.browser.wiring import Browsers
from gateway.client_changes import ClientChanges
from gateway.cors import CrossOrigin
from gateway.denials import Denials
from gateway.errors import MisdirectedRequest, RateLimited
from gateway.fast_path.admitted import ADMITTED, Admitted
from gateway.framing import Framing, framing_of, values_of
from gateway.limits.headers import rate_limit_headers
from gateway.limits.limiter import Demand, Limiter
from gateway.open_requests import OpenRequests
from gateway.pages.hosted import HostedPages
from gateway.paths import segments_of, target_of
from gateway.proxy.headers import PRODUCT_HEADERS
from gateway.proxy.inbound import Forwarder, Inbound
from gateway.reply import Reply
from gateway.routing.live import LiveRoutes
from gateway.routing.table import Route
from gateway.shedding.shedding import Shedding
from gateway.websocket.client import client_side_of
from gateway.websocket.handshake import asks_for_websocket


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
    shedding: Shedding
    changes: ClientChanges
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
        parts, reply = self._parts, Reply(send, self._parts.browsers.answers)
        admitted: Admitted | None = scope.get(ADMITTED)
        address = admitted.address if admitted else self._address(scope)
        try:
            with parts.open_requests.holding(address, taken=admitted is not None):
                if admitted is None:
                    parts.changes.note(address)
                    await self._serve(scope, address, receive, reply)
                else:
                    await self._go_on(scope, admitted, receive, reply)
        except Problem as problem:
            parts.denials.note(problem, scope.get("route"), address)
            if reply.started:
                raise
            state_of(scope).headers = OWN_HEADERS
            await answer(problem, scope, receive, reply)

    async def _serve(self, scope: Scope, address: Address, receive: Receive, reply: Reply) -> None:
        parts = self._parts
        parts.blocks.check(address)
        framing = framing_of(scope)
        reply.add(parts.origins.headers(scope))
        self._check_host(framing)
        segments = segments_of(scope["raw_path"])
        table = parts.routes.table
        preflight = parts.origins.preflight(scope, lambda: table.methods_of(segments))
        if preflight is not None:
            await preflight(scope, receive, reply)
            return
        route = scope["route"] = table.find(segments, scope["method"])
        parts.shedding.check(scope, route)
        credentials, token = await self._admit(scope, route, reply)
        await self._limit(route, address, token, reply)
        if route.upstream is None:
            own = await self._own_answer(route, Request(scope))
            await own(scope, receive, reply)
            return
        reply.expect(route, credentials)
        request = _inbound(scope, framing, credentials, token, address)
        if not request.upstream.service:
            request.state.headers = PRODUCT_HEADERS
        await parts.proxy.forward(request, receive, reply)
        if reply.report:
            parts.denials.count(
                reply.report, route, address, actor=token.user_id if token else None
            )

    async def _go_on(
        self, scope: Scope, admitted: Admitted, receive: Receive, reply: Reply
    ) -> None:
        """Forward what the fast path has let pass, from where it is."""
        credentials = Credentials(authorization=admitted.authorization)
        reply.add(self._parts.origins.headers(scope))
        reply.add(admitted.limits)
        reply.expect(scope["route"], credentials)
        request = _inbound(scope, framing_of(scope), credentials, admitted.token, admitted.address)
        request.begun = admitted.begun
        request.state.headers = PRODUCT_HEADERS
        await self._parts.proxy.forward(request, receive, reply)

    async def _admit(
        self, scope: Scope, route: Route, reply: Reply
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
        self, route: Route, address: Address, token: AccessToken | None, reply: Reply
    ) -> None:
        if not route.limits:
            return
        limiter, demands = self._parts.limiter, demands_of(route, address, token)
        # Where a token is optional, one of an ended session still says who it was.
        judged = None if route.access == "optional" else token
        decision = limiter.decide_now(demands, judged) or await limiter.decide(demands, judged)
        reply.add(rate_limit_headers(decision))
        if not decision.allowed:
            self._limited.labels(decision.tightest.demand.name).inc()
            raise RateLimited(retry_after=decision.retry_after)


def demands_of(route: Route, address: Address, token: AccessToken | None) -> Sequence[Demand]:
    """Return what a request to *route* is counted as."""
    return route.demands(address=limit_key(address), user=token.sub if token else None)


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
