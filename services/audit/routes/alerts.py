"""Alerts over HTTP."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chassis.caller import Caller
from chassis.http import query, respond
from chassis.middleware import caller_of
from services.audit.domain.detection.alerts import Alert
from services.audit.schemas.alerts import AlertPageView, AlertsQuery, AlertView
from services.audit.service.alerts import Alerts

_ALERTS = "/api/v1/admin/alerts"

_Act = Callable[[Caller, UUID], Awaitable[Alert]]


def routes(alerts: Alerts) -> list[Route]:
    """Return the routes of alerts."""

    async def list_alerts(request: Request) -> Response:
        asked = query(request, AlertsQuery)
        page = await alerts.list_alerts(
            caller_of(request), asked.filters(), after=asked.cursor, limit=asked.limit
        )
        items = tuple(AlertView.of(alert) for alert in page.alerts)
        return respond(AlertPageView(items=items, next_cursor=page.next_cursor))

    def action(name: str, act: _Act) -> Route:
        async def perform(request: Request) -> Response:
            alert_id: UUID = request.path_params["alert_id"]
            return respond(AlertView.of(await act(caller_of(request), alert_id)))

        return Route(f"{_ALERTS}/{{alert_id:uuid}}/{name}", perform, methods=["POST"], name=name)

    return [
        Route(_ALERTS, list_alerts, methods=["GET"]),
        action("acknowledge", alerts.acknowledge),
        action("close", alerts.close),
    ]
