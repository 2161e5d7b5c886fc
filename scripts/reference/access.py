"""Who may call an operation and how often, as gateway/routes.toml says."""

from dataclasses import dataclass

from chassis.rates import Rate
from gateway.pages.hosted import MAILED, REFERENCE, HostedPages
from gateway.routing.loading import BUILT_IN, Surroundings, load_table
from gateway.routing.table import Limit, Route, RouteTable
from gateway.settings import GatewaySettings
from scripts.reference.operation import Operation

_SOMEWHERE = "http://127.0.0.1"
_READING = ("GET",)
_WHOM = {"user": "per user", "address": "per address"}


def _table() -> RouteTable:
    fields = GatewaySettings.model_fields.items()
    surroundings = Surroundings(
        services=dict.fromkeys(("identity", "token", "notify", "audit"), _SOMEWHERE),
        rates={name: field.default for name, field in fields if isinstance(field.default, Rate)},
        flags=frozenset({"dev_inbox", "development", "docs"}),
        pages=HostedPages(*MAILED, *REFERENCE).names,
    )
    return load_table(surroundings, BUILT_IN)


TABLE = _table()
"""Every built-in route, those included that need a switch."""


@dataclass(frozen=True, slots=True)
class Access:
    """What the route of an operation asks of a caller."""

    route: Route
    method: str

    @property
    def security(self) -> list[dict[str, list[str]]]:
        """Return the security requirements (OpenAPI 3.1 §4.8.30)."""
        proof = () if self.method in _READING else ("csrfToken",)
        by_token = _all_of("accessToken")
        by_cookie, by_refresh = _all_of("accessCookie", *proof), _all_of("refreshCookie", *proof)
        if self.route.session == "refresh":
            return [{}, by_refresh]
        if self.route.access == "public":
            return []
        if self.route.session == "logout":
            return [{}, by_token, by_cookie, by_refresh]
        needed = [by_token, by_cookie]
        return [{}, *needed] if self.route.access == "optional" else needed

    @property
    def needs_csrf_token(self) -> bool:
        """Say whether browser mode has to prove here that a page of ours asks."""
        return any("csrfToken" in way for way in self.security)

    @property
    def sentences(self) -> tuple[str, ...]:
        """Say which roles are let in, and the limits by the names of their settings."""
        roles = " or ".join(f"`{role}`" for role in sorted(self.route.roles))
        limits = "; ".join(_words(limit) for limit in self.route.limits)
        return (
            f"Needs the role {roles}." if roles else "",
            f"Limits: {limits}." if limits else "",
        )


def _all_of(*schemes: str) -> dict[str, list[str]]:
    return {scheme: [] for scheme in schemes}


def access_of(operation: Operation) -> Access:
    """Return the access of the route. Raises NotFound, MethodNotAllowed when there is none."""
    path = operation.path.replace("{id}", "0")
    return Access(TABLE.find(tuple(path[1:].split("/")), operation.method), operation.method)


def _words(limit: Limit) -> str:
    return f"`RATE_LIMIT_{limit.name.upper()}` ({_WHOM[limit.key]}, by default {limit.rate})"
