"""Statistics over HTTP."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chassis.clock import Clock
from chassis.http import query, respond
from chassis.middleware import caller_of
from services.audit.schemas.statistics import StatsQuery, StatsView
from services.audit.service.statistics import Counting


def routes(counting: Counting, clock: Clock) -> list[Route]:
    """Return the route of statistics."""

    async def read(request: Request) -> Response:
        asked = query(request, StatsQuery).span(clock.now())
        return respond(StatsView.of(await counting.read(caller_of(request), asked)))

    return [Route("/api/v1/admin/stats", read, methods=["GET"])]
