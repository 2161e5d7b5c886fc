"""Cross-origin calls by exact origins (the Fetch standard's CORS protocol); none by default.

An allowed origin may call with a Bearer token, or in browser mode with the platform's cookies,
which are sent only where both are of one site: they are SameSite.
"""

from collections.abc import Callable, Collection, Mapping

from starlette.responses import Response
from starlette.types import Scope

from gateway.framing import values_of
from gateway.routing.table import Route

_ALLOWED_HEADERS = "Authorization, Content-Type, Gatehouse-Device, Gatehouse-Mode, X-CSRF-Token"
_EXPOSED_HEADERS = "RateLimit, RateLimit-Policy, Retry-After, X-Request-Id"
_MAX_AGE_SECONDS = 600


class CrossOrigin:
    """Answers preflights and marks answers for the origins that are allowed."""

    def __init__(self, origins: Collection[str]) -> None:
        self._origins = frozenset(origins)

    @property
    def vary(self) -> bool:
        """Whether an answer could have been another for a page of another origin."""
        return bool(self._origins)

    def headers(self, scope: Scope) -> Mapping[str, str]:
        """Return what an answer carries so that the calling page may read it."""
        if not self._origins:
            return {}
        origin = _origin(scope)
        if origin not in self._origins:
            return {"Vary": "Origin"}
        return {
            "Vary": "Origin",
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Credentials": "true",
            "Access-Control-Expose-Headers": _EXPOSED_HEADERS,
        }

    def preflight(
        self, scope: Scope, routes_of: Callable[[], Mapping[str, Route]]
    ) -> Response | None:
        """Return the answer to a preflight for a known path, None for anything else."""
        if scope["method"] != "OPTIONS":
            return None
        routes = routes_of()
        if "OPTIONS" in routes or not routes:
            return None
        if not values_of(scope["headers"], b"access-control-request-method"):
            return None
        if _origin(scope) not in self._origins:
            return None
        return Response(
            status_code=204,
            headers={
                "Access-Control-Allow-Methods": ", ".join(sorted(routes)),
                "Access-Control-Allow-Headers": _ALLOWED_HEADERS,
                "Access-Control-Max-Age": str(_MAX_AGE_SECONDS),
            },
        )


def _origin(scope: Scope) -> str:
    origins = values_of(scope["headers"], b"origin")
    return origins[0] if len(origins) == 1 else ""
