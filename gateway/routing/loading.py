"""Reading the route files: built-in, then the operator's; every complaint at once."""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from chassis.rates import Rate
from gateway.routing.schema import LimitSpec, RouteFile, RouteSpec, UpstreamSpec
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


class RoutesInvalid(Exception):  # noqa: N818 - said of the files
    """The route files do not hold; `lines` says everything that is wrong."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("; ".join(lines))
        self.lines = list(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the files refer to: our services' URLs, rates of settings, switches, pages."""

    services: Mapping[str, str]
    rates: Mapping[str, Rate]
    flags: frozenset[str]
    pages: frozenset[str]


def load_table(surroundings: Surroundings, *paths: Path) -> RouteTable:
    """Build the table from the files at *paths*. Raises RoutesInvalid."""
    files = [_read(path) for path in paths]
    builder = _Builder(surroundings, files)
    routes = [builder.route(spec) for spec in builder.specs]
    try:
        table = RouteTable(route for route in routes if route)
    except DuplicateRoute as error:
        builder.complaints.append(str(error))
    if builder.complaints:
        raise RoutesInvalid(builder.complaints)
    return table


class _Builder:
    """Resolves the names in route specs and collects what cannot be resolved."""

    def __init__(self, surroundings: Surroundings, files: Iterable[RouteFile]) -> None:
        self.complaints: list[str] = []
        self.specs: list[RouteSpec] = []
        self._flags = surroundings.flags
        self._rates = surroundings.rates
        self._pages = surroundings.pages
        self._limits: dict[str, LimitSpec] = {}
        self._timeouts: dict[str, float] = {}
        self._upstreams: dict[str, Upstream] = {}
        for name, url in surroundings.services.items():
            self._add_upstream(UpstreamSpec(name=name, url=url), service=True)
        for file in files:
            self._limits |= file.limits
            self.specs += file.route
            for spec in file.upstream:
                self._add_upstream(spec, service=False)

    def route(self, spec: RouteSpec) -> Route | None:
        """Return the route of *spec*, or None when it is switched off or does not hold."""
        if spec.when and spec.when not in self._flags:
            return None
        upstream = self._upstreams.get(spec.upstream or "")
        if spec.upstream and upstream is None:
            self.complaints.append(f"{spec.path}: no upstream is called {spec.upstream}")
        if spec.page and spec.page not in self._pages:
            self.complaints.append(f"{spec.path}: no page is called {spec.page}")
        service = upstream is None or upstream.service
        if spec.session and not service:
            self.complaints.append(f"{spec.path}: session is for routes of our own services")
        roles = frozenset() if isinstance(spec.access, str) else frozenset(spec.access)
        body_limit = _SERVICE_BODY_BYTES if service else _PRODUCT_BODY_BYTES
        return Route(
            path=spec.path,
            methods=spec.methods,
            upstream=upstream,
            page=spec.page,
            answer=spec.answer,
            access=spec.access if isinstance(spec.access, str) else "user",
            roles=roles,
            limits=tuple(filter(None, (self._limit(spec, text) for text in spec.limits))),
            body_limit=body_limit if spec.body_limit is None else spec.body_limit,
            read_timeout=spec.read_timeout
            or self._timeouts.get(spec.upstream or "", _PAGE_TIMEOUT),
            forward_token=spec.forward_token,
            session=spec.session,
            stream_body=spec.stream_body or not service,
            bulkhead=spec.bulkhead,
        )

    def _add_upstream(self, spec: UpstreamSpec, *, service: bool) -> None:
        if spec.name in self._upstreams:
            self.complaints.append(f"upstream {spec.name} is declared twice")
        self._timeouts[spec.name] = spec.read_timeout
        self._upstreams[spec.name] = _upstream(spec, service=service)

    def _limit(self, spec: RouteSpec, text: str) -> Limit | None:
        if "/" in text:
            return self._own_limit(spec, text)
        shared = self._limits.get(text)
        rate = None
        if shared is not None:
            rate = shared.rate or self._rates.get(shared.setting or "")
        if shared is None or rate is None:
            self.complaints.append(f"{spec.path}: no limit is called {text}")
            return None
        return Limit(name=text, scope=text, rate=rate, key=shared.key)

    def _own_limit(self, spec: RouteSpec, text: str) -> Limit | None:
        try:
            rate = Rate.parse(text)
        except ValueError as error:
            self.complaints.append(f"{spec.path}: {text} {error}")
            return None
        scope = f"route:{','.join(sorted(spec.methods))}:{spec.path}"
        return Limit(name="route", scope=scope, rate=rate, key="user")


def _upstream(spec: UpstreamSpec, *, service: bool) -> Upstream:
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
    )


def _read(path: Path) -> RouteFile:
    try:
        return RouteFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise RoutesInvalid([f"{path}: cannot be read ({type(error).__name__})"]) from None
    except tomllib.TOMLDecodeError as error:
        raise RoutesInvalid([f"{path}: {error}"]) from None
    except ValidationError as error:
        lines = [
            f"{path.name}: {'.'.join(map(str, item['loc']))}: {item['msg']}"
            for item in error.errors(include_input=False, include_url=False)
        ]
        raise RoutesInvalid(lines) from None
