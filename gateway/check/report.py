"""What a check says: lines of a name and its facts."""

from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus
from pathlib import Path

from chassis.errors import Problem
from gateway.address import parse_address
from gateway.check.rehearsal import Asked, Findings
from gateway.edge import demands_of
from gateway.errors import AmbiguousPath
from gateway.paths import segments_of
from gateway.routing.header_rules import HeaderChanges
from gateway.routing.table import Route, RouteTable, Upstream
from gateway.settings import GatewaySettings

_WIDTH = 12
_PREFERENCE = "a literal beats a parameter, a parameter a rest"
_BY_OTHERS = "other proxies, which ask at FORWARD_AUTH_PORT"
_ASSUMED = ("public_base_url", "identity_url", "token_url", "notify_url", "audit_url")

Line = tuple[str, str]


def summary(settings: GatewaySettings, table: RouteTable) -> Iterator[Line]:
    """Say what the files hold: the platform's routes by number, an operator's one by one."""
    own = str(settings.routes_file)
    asked = [route for host in table.protected.values() for route in host.routes]
    routes = [*table.routes, *asked]
    mine = [route for route in routes if _file_of(route) == own]
    yield "Built in", f"{len(routes) - len(mine)} routes"
    if settings.routes_file is None:
        yield "Own", "none: ROUTES_FILE names no file, nor does --file"
        return
    yield "Own", f"{len(mine)} routes in {own}"
    for route in mine:
        yield "", f"{', '.join(route.methods)} {route.path} → {_target(route)}; {_whom(route)}"


def assumptions(settings: GatewaySettings) -> Iterator[Line]:
    """Say which settings are not set, so that another value stands in here."""
    missing = [name for name in _ASSUMED if name not in settings.model_fields_set]
    if missing:
        values = (f"{name.upper()}={getattr(settings, name)}" for name in missing)
        yield "Assumed", " ".join(values)


def explanation(
    asked: Asked, findings: Findings, settings: GatewaySettings, table: RouteTable
) -> Iterator[Line]:
    """Say what becomes of a request, and why."""
    yield "Request", f"{asked.method} {asked.target}"
    yield "Path", _path(asked)
    yield "Client", f"{findings.client}: {_client(asked, findings, settings)}"
    route = findings.route
    if route is None:
        yield "Route", "none"
        yield from _nearest(asked, table)
    else:
        yield "Route", f"{', '.join(route.methods)} {route.path} ({route.place})"
        yield from _nearest(asked, table)
        yield from _conditions(route, findings, settings)
    yield from _outcome(findings)


def _path(asked: Asked) -> str:
    try:
        segments = segments_of(asked.target.partition("?")[0].encode("utf-8"))
    except AmbiguousPath as problem:
        return problem.title
    return " ".join(repr(segment) for segment in segments)


def _client(asked: Asked, findings: Findings, settings: GatewaySettings) -> str:
    peer = parse_address(asked.peer)
    forwarded = asked.values("x-forwarded-for")
    if not settings.trusted_proxies:
        return "the TCP peer; TRUSTED_PROXIES is empty, so X-Forwarded-For means nothing"
    if not any(peer in network for network in settings.trusted_proxies if peer):
        return "the TCP peer, which is outside TRUSTED_PROXIES: X-Forwarded-For means nothing"
    if not forwarded:
        return "the TCP peer, a trusted proxy that sends no X-Forwarded-For"
    if findings.client == peer:
        return "the TCP peer, a trusted proxy; no address in X-Forwarded-For could be read"
    return "found in X-Forwarded-For, from the right, behind the hops of TRUSTED_PROXIES"


def _nearest(asked: Asked, table: RouteTable) -> Iterator[Line]:
    """Say why this route, or which others have the path: each by a table of it alone."""
    try:
        segments = segments_of(asked.target.partition("?")[0].encode("utf-8"))
    except Problem:
        return
    chosen = {route.path for route in table.methods_of(segments).values()}
    for path in sorted(chosen):
        yield "", _taken(path, segments)
    for route in table.routes:
        if route.path not in chosen and RouteTable([route]).methods_of(segments):
            yield "", f"rather than {route.path} ({route.place}): {_PREFERENCE}"


def _taken(path: str, segments: Sequence[str]) -> str:
    parts = []
    for index, pattern in enumerate(path[1:].split("/")):
        if pattern.endswith("...}"):
            parts.append(f"{pattern} takes {'/'.join(segments[index:])!r}")
        elif pattern.startswith("{"):
            parts.append(f"{pattern} takes {segments[index]!r}")
        else:
            parts.append(f"{pattern!r} is literal")
    return "; ".join(parts)


def _conditions(route: Route, findings: Findings, settings: GatewaySettings) -> Iterator[Line]:
    yield "Access", _whom(route)
    yield "", _who(findings)
    yield from _limits(route, findings, settings)
    streamed = "passed on as it arrives" if route.stream_body else "passed on when it is whole"
    if route.upstream is not None:
        yield "Body", f"at most {route.body_limit} bytes, {streamed}"
        yield "Timeouts", _timeouts(route)
    yield "Target", _target(route)
    if route.upstream is not None:
        yield "Assertion", _assertion(route.upstream)
    if route.websocket:
        yield "WebSocket", f"passes; ends with its token, or idle for {route.idle_timeout:g} s"
    if route.bulkhead:
        yield "Bulkhead", f"{route.bulkhead}: connections of its own"
    for direction, changes in (
        ("request", route.headers.request),
        ("response", route.headers.response),
    ):
        yield from (("Headers", f"{direction}: {text}") for text in _changes(changes))


def _limits(route: Route, findings: Findings, settings: GatewaySettings) -> Iterator[Line]:
    demands = demands_of(route, findings.client, findings.token)
    if not demands:
        yield "Limits", "none"
    for demand in demands:
        yield "Limits", f"{demand.name}: {demand.rate}, counted under {demand.key}"
    if demands and settings.share > 1:
        yield "", f"while Redis is away each process allows 1/{settings.share} of that"


def _timeouts(route: Route) -> str:
    connect = route.upstream.connect_timeout if route.upstream else 0
    total = f"{route.total_timeout:g} s" if route.total_timeout else "none"
    return f"connect {connect:g} s, silence {route.read_timeout:g} s, total {total}"


def _assertion(upstream: Upstream) -> str:
    if upstream.service:
        return f"signed for {upstream.name}"
    if not upstream.assertion_secrets:
        return "none: the upstream names no assertion_secrets_file"
    count = len(upstream.assertion_secrets)
    return f"signed for {upstream.name}; secrets in its file: {count}, the first signs"


def _changes(changes: HeaderChanges) -> Iterator[str]:
    for name, value in changes.set.items():
        yield f"{name}: {value}"
    for name in changes.remove:
        yield f"without {name}"


def _target(route: Route) -> str:
    if route.upstream is not None:
        return f"{route.upstream.name} at {', '.join(route.upstream.urls)}"
    if route.page:
        return f"the page {route.page}"
    return f"the gateway's own answer {route.answer}" if route.answer else _BY_OTHERS


def _whom(route: Route) -> str:
    entries = [*sorted(route.roles), *(f"scope:{scope}" for scope in sorted(route.scopes))]
    return f"a user with {' or '.join(entries)}" if entries else route.access


def _who(findings: Findings) -> str:
    token = findings.token
    if token is None:
        return "asked by nobody (say --as user, or roles)"
    scope = f" and scope {token.scope}" if token.scope else ""
    return f"asked by user {token.sub} with {', '.join(sorted(token.roles)) or 'no role'}{scope}"


def _outcome(findings: Findings) -> Iterator[Line]:
    if findings.passed_on is not None:
        for name, value in findings.passed_on.items():
            if name.startswith("x-auth-"):
                yield "Tells", f"{name}: {value}"
        yield "Answer", "the upstream's"
        return
    status = f"{findings.status} {HTTPStatus(findings.status).phrase}"
    if not findings.problem:
        yield "Answer", f"{status}, by the gateway itself"
        return
    reason = findings.problem.get("detail") or findings.problem["title"]
    yield "Answer", f"{status}, code {findings.problem['code']}: {reason}"
    for name in ("allow", "www-authenticate"):
        if name in findings.headers:
            yield "", f"{name}: {findings.headers[name]}"


def _file_of(route: Route) -> str:
    place, _, line = route.place.rpartition(":")
    return place if line.isdigit() and Path(place).suffix else route.place


def lay_out(lines: Iterable[Line]) -> str:
    """Return the lines as text in two columns."""
    return "".join(f"{name:<{_WIDTH}}{fact}\n" for name, fact in lines)
