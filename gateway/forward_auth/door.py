"""The ASGI app behind `FORWARD_AUTH_PORT`: the edge's judgement, without what comes after it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from chassis.errors import MethodNotAllowed, NotFound, Problem
from chassis.jwt import AccessToken
from chassis.middleware import answer
from chassis.networks import Address
from gateway.address import ClientAddresses, parse_address
from gateway.authentication import Authentication
from gateway.block_feed import BlockFeed
from gateway.browser.mode import ClientModes
from gateway.denials import Denials
from gateway.edge import demands_of
from gateway.errors import RateLimited
from gateway.forward_auth.errors import NotListed, OriginalUnclear, ProxyNotTrusted
from gateway.forward_auth.original import PATH, Original, opens_socket, original_of
from gateway.framing import framing_of, values_of
from gateway.limits.headers import rate_limit_headers
from gateway.limits.limiter import Limiter
from gateway.paths import segments_of, target_of
from gateway.routing.live import LiveRoutes
from gateway.routing.table import Route
from gateway.shedding.shedding import Shedding


@dataclass(frozen=True, slots=True, kw_only=True)
class Judges:
    """What the edge judges by as well."""

    routes: LiveRoutes
    addresses: ClientAddresses
    blocks: BlockFeed
    shedding: Shedding
    modes: ClientModes
    authentication: Authentication
    limiter: Limiter
    denials: Denials


@dataclass(slots=True)
class _Case:
    """One question: who asks or is asked about, which route, what every answer carries."""

    address: Address
    route: Route | None = None
    headers: dict[str, str] = field(default_factory=dict)


class ForwardAuth:
    """Answers 200 with whose request it is, or refuses it; in doubt it refuses."""

    def __init__(self, judges: Judges) -> None:
        self._judges = judges

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one question, under the chassis' RequestMiddleware."""
        if scope["type"] != "http":
            return
        peer = parse_address(scope["client"][0]) if scope["client"] else None
        if peer is None or not self._judges.addresses.trusts(peer):
            await answer(ProxyNotTrusted(), scope, receive, send)
            return
        await self._tell(_Case(peer), scope, receive, send)

    async def _tell(self, case: _Case, scope: Scope, receive: Receive, send: Send) -> None:
        sending = _adding(case.headers, send)
        try:
            token = await self._judge(case, scope)
        except Problem as problem:
            self._judges.denials.note(problem, case.route, case.address)
            await answer(problem, scope, receive, sending)
            return
        case.headers.update(_whose(token))
        await Response()(scope, receive, sending)

    async def _judge(self, case: _Case, scope: Scope) -> AccessToken | None:
        """Return whose request the original is; in the order of the edge."""
        judges = self._judges
        case.address = self._client(case.address, scope)
        judges.blocks.check(case.address)
        framing = framing_of(scope)
        original = original_of(scope, framing.host)
        if scope["raw_path"] == PATH and scope["method"] != "GET":
            raise MethodNotAllowed(headers={"Allow": "GET"})
        route = case.route = scope["route"] = self._route(original)
        asked = original.within(scope)
        judges.shedding.check(asked, route)
        case.headers.update(judges.modes.headers(asked, route))
        credentials = judges.modes.admit(asked, route, opens_socket=opens_socket(scope))
        token = await judges.authentication.token(route, credentials)
        judges.modes.check_session(credentials, token)
        await self._limit(case, route, token)
        return token

    def _client(self, peer: Address, scope: Scope) -> Address:
        """Return the client of the proxy *peer*, which has to name one. Raises OriginalUnclear."""
        forwarded = values_of(scope["headers"], b"x-forwarded-for")
        if not forwarded or parse_address(forwarded[-1].rpartition(",")[2]) is None:
            raise OriginalUnclear("X-Forwarded-For does not end with the address of the client.")
        return self._judges.addresses.find(str(peer), forwarded)

    def _route(self, original: Original) -> Route:
        """Return the route of the original. Raises AmbiguousPath, NotListed."""
        segments = segments_of(original.raw_path)
        target_of(original.raw_path, original.query)
        table = self._judges.routes.table.protected.get(original.host)
        if table is None:
            raise NotListed
        try:
            return table.find(segments, original.method)
        except (NotFound, MethodNotAllowed):
            raise NotListed from None

    async def _limit(self, case: _Case, route: Route, token: AccessToken | None) -> None:
        if not route.limits:
            return
        decision = await self._judges.limiter.decide(
            demands_of(route, case.address, token), None if route.access == "optional" else token
        )
        case.headers.update(rate_limit_headers(decision))
        if not decision.allowed:
            raise RateLimited(retry_after=decision.retry_after)


def _whose(token: AccessToken | None) -> Mapping[str, str]:
    """Return who a product is to take the caller for; empty values for nobody.

    Always all three: a proxy that only sets what it was told would let a client's own ones pass.
    """
    if token is None:
        return dict.fromkeys(("X-Auth-Subject", "X-Auth-Session", "X-Auth-Roles"), "")
    return {
        "X-Auth-Subject": token.sub,
        "X-Auth-Session": token.sid,
        "X-Auth-Roles": ",".join(sorted(token.roles)),
    }


def _adding(headers: Mapping[str, str], send: Send) -> Send:
    """Return *send* for answers that carry *headers* as well."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = MutableHeaders(scope=message)
            for name, value in headers.items():
                given.setdefault(name, value)
        await send(message)

    return sending
