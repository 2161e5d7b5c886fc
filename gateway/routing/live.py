"""The table in force, and how another takes its place."""

import asyncio
from collections.abc import Callable

from prometheus_client import Counter

from chassis.logs import get_logger
from chassis.metrics import Metrics
from gateway.routing.source import RoutesInvalid
from gateway.routing.table import RouteTable

log = get_logger(__name__)


class LiveRoutes:
    """Holds the table that requests are matched against: *read* gives it.

    A request keeps the route it has found, whatever happens to the table. Raises RoutesInvalid when
    the first table does not hold.
    """

    def __init__(self, read: Callable[[], RouteTable], metrics: Metrics) -> None:
        self._read = read
        self.table = read()
        self._reloads = Counter(
            "gatehouse_gateway_reloads",
            "Times the route files were read again (SIGHUP), by outcome: done or refused.",
            ["outcome"],
            registry=metrics.registry,
        )

    async def reload(self) -> None:
        """Read the files again; when they do not hold, everything stays as it is."""
        try:
            table = await asyncio.to_thread(self._read)
        except RoutesInvalid as error:
            self._reloads.labels("refused").inc()
            log.error("routes.not_reloaded", complaints=error.lines)  # noqa: TRY400 - it says all
            return
        self.table = table
        self._reloads.labels("done").inc()
        log.info("routes.reloaded", routes=len(table.routes))
