"""Reading the route files: built-in, then the operator's; every complaint at once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chassis.rates import Rate
from gateway.routing.product_secrets import ProductSecrets, SecretsUnfit
from gateway.routing.schema import (
    FORWARD_AUTH,
    SCOPE_PREFIX,
    LimitSpec,
    RouteSpec,
    UpstreamSpec,
)
from gateway.routing.source import RoutesInvalid, Source, read_source
from gateway.routing.table import (
    Bounds,
    DuplicateRoute,
    HealthCheck,
    Limit,
    Route,
    RouteTable,
    Thresholds,
    Upstream,
)

BUILT_IN = Path(__file__).parents[1] / "routes.toml"

_SERVICE_BODY_BYTES = 64 * 1024
_PRODUCT_BODY_BYTES = 10 * 1024 * 1024
_PAGE_TIMEOUT = 30.0
_IDLE_TIMEOUT = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the files refer to: our services' URLs, rates of settings, switches, pages.

    No product may share a secret with what uses `secrets`.
    """

    services: Mapping[str, str]
    rates: Mapping[str, Rate]
    flags: frozenset[str]
    pages: frozenset[str]
    secrets: Mapping[str, Sequence[bytes]] = field(default_factory=dict, repr=False)


def load_table(surroundings: Surroundings, *paths: Path) -> RouteTable:
    """Build the table from the files at *paths*. Raises RoutesInvalid."""
    sources, complaints = [], []
    for path in paths:
        try:
            sources.append(read_source(path))
        except RoutesInvalid as error:
            complaints += error.lines
    builder = _Builder(surroundings, sources)
    table = builder.table()
    complaints += builder.complaints
    if complaints:
        raise RoutesInvalid(complaints)
    return table


class _Builder:
    """Resolves the names in route specs and collects what cannot be resolved."""

    def __init__(self, surroundings: Surroundings, sources: Iterable[Source]) -> None:
        self.complaints: list[str] = []
        self._specs: list[tuple[str, RouteSpec]] = []
        self._flags = surroundings.flags
        self._rates = surroundings.rates
        self._pages = surroundings.pages
        self._limits: dict[str, LimitSpec] = {}
        self._timeouts: dict[str, float] = {}
        self._upstreams: dict[str, Upstream] = {}
        for name, url in surroundings.services.items():
            self._add_upstream(UpstreamSpec(name=name, url=url), "settings", service=True)
        secrets = ProductSecrets(surroundings.secrets)
        for source in sources:
            self._add_limits(source)
            self._specs += zip(source.places["route"], source.file.route, strict=True)
            declared = zip(source.places["upstream"], source.file.upstream, strict=True)
            for place, spec in declared:
                shared = self._shared(secrets, spec, place, Path(source.name).parent)
                self._add_upstream(spec, place, secrets=shared)

    def table(self) -> RouteTable:
        """Return the table of what holds."""
        table = RouteTable()
        for place, spec in self._specs:
            if spec.when and spec.when not in self._flags:
                continue
            route = self._route(spec, place)
            try:
                for host in spec.hosts:
                    table.protect(host, route)
                if not spec.hosts:
                    table.add(route)
            except DuplicateRoute as error:
                self.complaints.append(f"{place}: {error}")
        return table

    def _route(self, spec: RouteSpec, place: str) -> Route:
        """Return the route of *spec*; what does not hold in it is complained about."""
        upstream = self._upstreams.get(spec.upstream or "")
        service = upstream is None or upstream.service
        for complaint in self._unfit(spec, upstream):
            self.complaints.append(f"{place}: route {spec.path}: {complaint}")
        roles, scopes = _roles_and_scopes(spec)
        body_limit = _SERVICE_BODY_BYTES if service else _PRODUCT_BODY_BYTES
        return Route(
            place=place,
            path=spec.path,
            methods=spec.methods,
            upstream=upstream,
            page=spec.page,
            answer=spec.answer,
            access=spec.access if isinstance(spec.access, str) else "user",
            roles=roles,
            scopes=scopes,
            limits=self._limits_of(spec, place),
            body_limit=body_limit if spec.body_limit is None else spec.body_limit,
            read_timeout=spec.read_timeout
            or self._timeouts.get(spec.upstream or "", _PAGE_TIMEOUT),
            total_timeout=spec.total_timeout,
            headers=spec.headers,
            forward_token=spec.forward_token,
            session=spec.session,
            stream_body=spec.stream_body or not service,
            bulkhead=spec.bulkhead,
            websocket=spec.websocket,
            idle_timeout=spec.idle_timeout or _IDLE_TIMEOUT,
        )

    def _unfit(self, spec: RouteSpec, upstream: Upstream | None) -> Iterable[str]:
        if spec.upstream not in (None, FORWARD_AUTH) and upstream is None:
            yield f"no upstream is called {spec.upstream}"
        if spec.page and spec.page not in self._pages:
            yield f"no page is called {spec.page}"
        product = upstream is not None and not upstream.service
        if spec.session and product:
            yield "session is for routes of our own services"
        if spec.websocket and not product:
            yield "websocket is for routes of products"
        if spec.headers.changes and not product:
            yield "headers is for routes of products"
        if spec.total_timeout and not spec.upstream:
            yield "total_timeout is for routes with an upstream"

    def _add_limits(self, source: Source) -> None:
        for name, spec in source.file.limits.items():
            if name in self._limits:
                self.complaints.append(f"{source.name}: limit {name} is declared twice")
            self._limits.setdefault(name, spec)

    def _shared(
        self, secrets: ProductSecrets, spec: UpstreamSpec, place: str, folder: Path
    ) -> tuple[bytes, ...]:
        """Return the secrets of a product; what does not hold in them is complained about."""
        try:
            return secrets.read(spec, folder)
        except SecretsUnfit as error:
            self.complaints.append(f"{place}: upstream {spec.name}: {error}")
            return ()

    def _add_upstream(
        self,
        spec: UpstreamSpec,
        place: str,
        *,
        service: bool = False,
        secrets: tuple[bytes, ...] = (),
    ) -> None:
        if spec.name == FORWARD_AUTH:
            self.complaints.append(f"{place}: upstream {spec.name}: the name means other proxies")
        if spec.name in self._upstreams:
            self.complaints.append(f"{place}: upstream {spec.name} is declared twice")
        self._timeouts[spec.name] = spec.read_timeout
        self._upstreams[spec.name] = _upstream(spec, service=service, secrets=secrets)

    def _limits_of(self, spec: RouteSpec, place: str) -> tuple[Limit, ...]:
        """Return each of the limits once, however often it is named: a request counts once."""
        limits = filter(None, (self._limit(spec, text, place) for text in spec.limits))
        return tuple(dict.fromkeys(limits))

    def _limit(self, spec: RouteSpec, text: str, place: str) -> Limit | None:
        if "/" in text:
            return self._own_limit(spec, text, place)
        shared = self._limits.get(text)
        rate = None
        if shared is not None:
            rate = shared.rate or self._rates.get(shared.setting or "")
        if shared is None or rate is None:
            self.complaints.append(f"{place}: route {spec.path}: no limit is called {text}")
            return None
        return Limit(name=text, scope=f"{text}@{rate}", rate=rate, key=shared.key)

    def _own_limit(self, spec: RouteSpec, text: str, place: str) -> Limit | None:
        try:
            rate = Rate.parse(text)
        except ValueError as error:
            self.complaints.append(f"{place}: route {spec.path}: {text} {error}")
            return None
        where = ",".join(sorted(spec.hosts)) + spec.path
        scope = f"route:{','.join(sorted(spec.methods))}:{where}@{rate}"
        return Limit(name="route", scope=scope, rate=rate, key="user")


def _roles_and_scopes(spec: RouteSpec) -> tuple[frozenset[str], frozenset[str]]:
    entries = () if isinstance(spec.access, str) else spec.access
    scopes = frozenset(e.removeprefix(SCOPE_PREFIX) for e in entries if e.startswith(SCOPE_PREFIX))
    return frozenset(e for e in entries if not e.startswith(SCOPE_PREFIX)), scopes


def _upstream(spec: UpstreamSpec, *, service: bool, secrets: tuple[bytes, ...]) -> Upstream:
    check = HealthCheck(
        path=spec.health_path or "/", interval=spec.health_interval, timeout=spec.health_timeout
    )
    return Upstream(
        name=spec.name,
        urls=spec.addresses,
        connect_timeout=spec.connect_timeout,
        service=service,
        bounds=Bounds(
            requests=spec.max_requests, waiting=spec.max_waiting, wait_seconds=spec.queue_timeout
        ),
        thresholds=Thresholds(
            failures=spec.breaker_failures, ratio=spec.breaker_ratio, pause=spec.breaker_pause
        ),
        health=check if spec.health_path else None,
        assertion_secrets=secrets,
    )
