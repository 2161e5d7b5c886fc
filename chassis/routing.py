"""From a request to its endpoint: a table for plain paths, patterns for the others."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from chassis.errors import MethodNotAllowed, NotFound


class Routing:
    """Serves *routes*, of which the first that fits counts; their errors are left to others.

    Starlette's own application would put five layers around each endpoint that do nothing here:
    RequestMiddleware is the boundary of errors.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = tuple(routes)
        self._plain = {
            (method, route.path): route
            for route in reversed(self._routes)
            for method in route.methods or ()
            if not route.param_convertors and self._first(method, route.path) is route
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Raises NotFound, MethodNotAllowed and what the endpoint raises."""
        route = self._plain.get((scope["method"], scope["path"])) or self._fitting(scope)
        scope["route"] = route
        response = await route.endpoint(Request(scope, receive, send))
        await response(scope, receive, send)

    def _fitting(self, scope: Scope) -> Route:
        allowed: set[str] = set()
        for route in self._routes:
            match, found = route.matches(scope)
            if match is Match.FULL:
                scope.update(found)
                return route
            if match is Match.PARTIAL:
                scope["route"] = route
                allowed |= route.methods or set()
        if allowed:
            raise MethodNotAllowed(headers={"Allow": ", ".join(sorted(allowed))})
        raise NotFound

    def _first(self, method: str, path: str) -> Route | None:
        scope = {"type": "http", "method": method, "path": path}
        fitting = (route for route in self._routes if route.matches(scope)[0] is Match.FULL)
        return next(fitting, None)
