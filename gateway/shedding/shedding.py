"""Who is refused while the event loop is late: strangers first, everybody when it gets worse."""

from enum import IntEnum
from typing import Literal

from prometheus_client import Counter, Gauge, Histogram
from starlette.types import Scope

from chassis.logs import get_logger
from chassis.metrics import Metrics
from gateway.authentication import Authentication
from gateway.browser.cookies import PlatformCookies
from gateway.errors import AmbiguousCookies, Overloaded
from gateway.framing import values_of
from gateway.routing.table import Route
from gateway.shedding.lag import LoopLag

Class = Literal["anonymous", "authenticated"]

_FOR_ANYBODY = frozenset({"public", "optional"})
_RETRY_AFTER = 2
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
log = get_logger(__name__)


class Level(IntEnum):
    """Who is refused."""

    NOBODY = 0
    ANONYMOUS = 1
    EVERYBODY = 2


class Shedding:
    """Refuses requests while the loop is later than *above* seconds; 0: never.

    A level is left only when the lag has fallen to half of what it was entered at: what is refused
    lowers the lag at once, and would be let in again at once.
    """

    def __init__(
        self,
        lag: LoopLag,
        metrics: Metrics,
        *,
        above: float,
        authentication: Authentication,
        cookies: PlatformCookies,
    ) -> None:
        self._lag = lag
        self._above = above
        self._authentication = authentication
        self._cookies = cookies
        self._level = Level.NOBODY
        self._metrics(metrics)

    async def watch(self) -> None:
        """Measure for ever; the supervised task."""
        while True:
            self._late.observe(await self._lag.measure())
            self._follow(self._lag.seconds)

    @property
    def idle(self) -> bool:
        """Whether nobody is refused."""
        return self._level is Level.NOBODY

    def check(self, scope: Scope, route: Route) -> None:
        """Let a request to *route* pass, whatever it costs. Raises Overloaded.

        It costs no signature: as logged in counts who comes with a token that was verified before,
        on a route for anybody. Routes for users have their tokens verified, also new ones: else
        nobody whose token is fresh could come in until it is quiet.
        """
        if self._level is Level.NOBODY:
            return
        kind: Class = "authenticated" if self._is_known(scope) else "anonymous"
        open_to_all = route.access in _FOR_ANYBODY
        if self._level is Level.EVERYBODY or (kind == "anonymous" and open_to_all):
            self._shed.labels(kind).inc()
            raise Overloaded(retry_after=_RETRY_AFTER)

    def _follow(self, lag: float) -> None:
        """Take the level that *lag* asks for, and say once that it is another."""
        if not self._above:
            return
        reached = Level(sum(lag >= self._above * factor for factor in (1, 2)))
        kept = Level(sum(lag > self._above * factor / 2 for factor in (1, 2)))
        level = max(reached, min(self._level, kept))
        if level is self._level:
            return
        self._level = level
        if level is Level.NOBODY:
            log.info("load.shedding_ended", lag_ms=round(lag * 1000))
        else:
            log.warning("load.shedding", refused=level.name.lower(), lag_ms=round(lag * 1000))

    def _is_known(self, scope: Scope) -> bool:
        """Say whether the caller has a token that was verified before and lives."""
        authorization = values_of(scope["headers"], b"authorization")
        if not authorization:
            try:
                access = self._cookies.read(scope["headers"]).access
            except AmbiguousCookies:
                return False
            authorization = [f"Bearer {access}"] if access else []
        return self._authentication.is_known(authorization)

    def _metrics(self, metrics: Metrics) -> None:
        self._late = Histogram(
            "gatehouse_gateway_loop_lag_seconds",
            "How late a timer of the event loop came, measured ten times a second.",
            buckets=_BUCKETS,
            registry=metrics.registry,
        )
        self._shed = Counter(
            "gatehouse_gateway_shed_requests",
            "Requests refused because the event loop was late, by who asked.",
            ["class"],
            registry=metrics.registry,
        )
        Gauge(
            "gatehouse_gateway_shedding",
            "Who is refused for load: 0 nobody, 1 anonymous requests, 2 all.",
            registry=metrics.registry,
        ).set_function(lambda: self._level)
