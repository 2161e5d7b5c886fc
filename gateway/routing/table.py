"""The table requests are matched against."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from chassis.errors import MethodNotAllowed, NotFound
from chassis.rates import Rate
from gateway.limits.limiter import Demand
from gateway.routing.header_rules import HeaderRules
from gateway.routing.schema import Answer, Key, SessionStep


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How many requests an upstream gets at once, how many wait, and how long (in seconds)."""

    requests: int = 200
    waiting: int = 100
    wait_seconds: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """When an address is left alone: *failures* in a row, or a *ratio* of many; and how long."""

    failures: int = 5
    ratio: float = 0.5
    pause: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """How each address is asked whether it is well; times in seconds."""

    path: str
    interval: float
    timeout: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """A service behind the gateway; *service* marks our own (assertions, 503 when away).

    `urls` are its addresses; each gets its share of the requests. A product with
    `assertion_secrets` gets assertions too; with others in their place it is still the same.
    """

    name: str
    urls: tuple[str, ...]
    connect_timeout: float
    service: bool
    bounds: Bounds = Bounds()
    thresholds: Thresholds = Thresholds()
    health: HealthCheck | None = None
    assertion_secrets: tuple[bytes, ...] = field(default=(), compare=False, repr=False)

    def __hash__(self) -> int:
        return hash(self.name)  # is asked for on every request


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A limit of a route; *scope* is the part of the key that says what is counted together.

    The rate is part of it: a count belongs to the rate it was made under, so a limit that is
    changed begins anew, and one that is not goes on.
    """

    name: str
    scope: str
    rate: Rate
    key: Key

    def demand(self, *, address: str, user: str | None) -> Demand:
        """Return what to ask the limiter for; where nobody is logged in the address counts."""
        who = f"user:{user}" if self.key == "user" and user else f"address:{address}"
        return Demand(self.name, f"{self.scope}:{who}", self.rate)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a request goes and on which conditions; `place` is where the files say so.

    `roles` and `scopes` are empty when any user may call it, else one of them is enough.
    `body_limit` is in bytes. Times are in seconds: `read_timeout` is the longest silence of the
    upstream, `total_timeout` bounds the whole exchange. `session` is what it does with the
    caller's, `stream_body` passes a body on as it arrives. Routes of one `bulkhead` share
    connections that no other route waits for. A `websocket` passes through, until both sides have
    been silent for `idle_timeout`.
    """

    place: str
    path: str
    methods: tuple[str, ...]
    upstream: Upstream | None
    page: str | None
    answer: Answer | None
    access: str
    roles: frozenset[str]
    scopes: frozenset[str]
    limits: tuple[Limit, ...]
    body_limit: int
    read_timeout: float
    total_timeout: float | None
    headers: HeaderRules
    forward_token: bool
    session: SessionStep | None
    stream_body: bool
    bulkhead: str | None
    websocket: bool = False
    idle_timeout: float = 120.0

    def demands(self, *, address: str, user: str | None) -> Sequence[Demand]:
        """Return what a request is counted as; *address* is the `limit_key` of the caller's."""
        return [limit.demand(address=address, user=user) for limit in self.limits]


@dataclass(slots=True)
class _Node:
    literals: dict[str, "_Node"] = field(default_factory=dict)
    parameter: "_Node | None" = None
    rest: "_Node | None" = None
    routes: dict[str, Route] = field(default_factory=dict)


class DuplicateRoute(ValueError):  # noqa: N818 - the message names it
    """Two routes claim one method of one path; the message says which."""


class RouteTable:
    """Finds the route of a path: a literal segment beats a parameter, a parameter beats a rest."""

    def __init__(self, routes: Iterable[Route] = ()) -> None:
        self._root = _Node()
        self.routes: list[Route] = []
        self.upstreams: set[Upstream] = set()
        self.protected: dict[str, RouteTable] = {}
        """What other proxies serve and ask us about, by host: never found by a path of ours."""
        for route in routes:
            self.add(route)

    def find(self, segments: Sequence[str], method: str) -> Route:
        """Return the route. Raises NotFound, MethodNotAllowed (with `Allow`)."""
        routes = self.methods_of(segments)
        if not routes:
            raise NotFound
        route = routes.get(method)
        if route is None:
            raise MethodNotAllowed(headers={"Allow": ", ".join(sorted(routes))})
        return route

    def methods_of(self, segments: Sequence[str]) -> Mapping[str, Route]:
        """Return the routes of a path by their methods; empty when nothing is there."""
        node = _descend(self._root, tuple(segments))
        return node.routes if node else {}

    def protect(self, host: str, route: Route) -> None:
        """Add what another proxy serves at *host*, named with it. Raises DuplicateRoute."""
        table = self.protected.setdefault(host, RouteTable())
        table.add(replace(route, path=host + route.path), path=route.path)

    def add(self, route: Route, *, path: str | None = None) -> None:
        """Add *route*, at another *path* than its name says where one is given.

        Raises DuplicateRoute, and has then added what is not a duplicate.
        """
        self.routes.append(route)
        node = self._root
        if route.upstream is not None:
            self.upstreams.add(route.upstream)
        for segment in (path or route.path)[1:].split("/"):
            node = _child(node, segment)
        methods = set(route.methods)
        if "GET" in methods:
            methods.add("HEAD")
        taken = {method: node.routes[method].place for method in methods & node.routes.keys()}
        node.routes |= dict.fromkeys(methods - taken.keys(), route)
        if taken:
            method, place = min(taken.items())
            raise DuplicateRoute(f"{method} {route.path} is declared twice, first at {place}")


def _child(node: _Node, segment: str) -> _Node:
    if segment.endswith("...}"):
        node.rest = node.rest or _Node()
        return node.rest
    if segment.startswith("{"):
        node.parameter = node.parameter or _Node()
        return node.parameter
    return node.literals.setdefault(segment, _Node())


def _descend(node: _Node, segments: tuple[str, ...]) -> _Node | None:
    if not segments:
        return node if node.routes else None
    head, tail = segments[0], segments[1:]
    literal = node.literals.get(head)
    found = _descend(literal, tail) if literal else None
    if found is None and node.parameter and head:
        found = _descend(node.parameter, tail)
    if found is None and node.rest and (head or tail):
        found = node.rest
    return found
