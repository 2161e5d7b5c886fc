"""What is the same for every request to one route, made once."""

from collections.abc import Callable

from chassis.errors import Problem
from gateway.limits.headers import policies_of
from gateway.paths import segments_of
from gateway.proxy.entrance import Entrance
from gateway.routing.table import Route, RouteTable, Upstream

_MOST_PATHS = 4096
_LONGEST_PATH = 256
_ACCESSES = frozenset({"public", "user"})


class Plan:
    """One route of a product that the fast path serves."""

    __slots__ = ("entrance", "policies", "route")

    def __init__(self, route: Route, entrance: Entrance) -> None:
        self.route = route
        self.entrance = entrance
        self.policies = b"ratelimit-policy: %b\r\n" % policies_of(route.limits).encode()


class Plans:
    """Finds the plan of a path; *table* gives the routes in force, *entrance* leads behind one."""

    def __init__(
        self, table: Callable[[], RouteTable], entrance: Callable[[Route, Upstream], Entrance]
    ) -> None:
        self._table = table
        self._entrance = entrance
        self._known_table: RouteTable | None = None
        self._by_path: dict[bytes, Plan | None] = {}

    def find(self, path: bytes) -> Plan | None:
        """Return the plan for GET of a raw path; None is for the slow path to judge."""
        table = self._table()
        if table is not self._known_table:
            self._known_table = table
            self._by_path.clear()
        try:
            return self._by_path[path]
        except KeyError:
            plan = self._plan_of(table, path)
            self._remember(path, plan)
            return plan

    def _remember(self, path: bytes, plan: Plan | None) -> None:
        if len(path) > _LONGEST_PATH:
            return
        if len(self._by_path) >= _MOST_PATHS:
            self._by_path.clear()
        self._by_path[path] = plan

    def _plan_of(self, table: RouteTable, path: bytes) -> Plan | None:
        try:
            route = table.find(segments_of(path), "GET")
        except Problem:
            return None
        upstream = route.upstream
        if upstream is None or upstream.service or route.access not in _ACCESSES:
            return None
        is_plain = not (route.session or route.websocket or route.headers.changes)
        if not is_plain or route.forward_token or upstream.assertion_secrets:
            return None
        return Plan(route, self._entrance(route, upstream))
