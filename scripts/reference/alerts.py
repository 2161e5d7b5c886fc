"""The operations of audit's detection and statistics."""

from scripts.reference.operation import Answer, Operation
from services.audit import errors
from services.audit.schemas import alerts
from services.audit.schemas import statistics as stats

ALERTS = (
    Operation(
        method="GET",
        path="/api/v1/admin/alerts",
        name="listAlerts",
        tag="Alerts",
        summary="List what looks like an attack",
        text="One alert per incident, the newest first.",
        query=alerts.AlertsQuery,
        answers={200: Answer(text="Some alerts.", model=alerts.AlertPageView)},
        problems=(errors.AdminRoleRequired,),
    ),
    Operation(
        method="POST",
        path="/api/v1/admin/alerts/{id}/acknowledge",
        name="acknowledgeAlert",
        tag="Alerts",
        summary="Take up an alert",
        text="The first who does stays named.",
        answers={200: Answer(text="The alert.", model=alerts.AlertView)},
        problems=(errors.AdminRoleRequired, errors.AlertNotFound, errors.AlertIsClosed),
    ),
    Operation(
        method="POST",
        path="/api/v1/admin/alerts/{id}/close",
        name="closeAlert",
        tag="Alerts",
        summary="Close an alert",
        text="An incident that goes on is counted there, and told anew only after it was quiet.",
        answers={200: Answer(text="The alert.", model=alerts.AlertView)},
        problems=(errors.AdminRoleRequired, errors.AlertNotFound),
    ),
    Operation(
        method="GET",
        path="/api/v1/admin/stats",
        name="getStatistics",
        tag="Alerts",
        summary="See what happened, in numbers",
        text="By hours up to 31 days, by days (UTC) up to 366.",
        query=stats.StatsQuery,
        answers={200: Answer(text="In all, and bucket by bucket.", model=stats.StatsView)},
        problems=(errors.AdminRoleRequired,),
    ),
)
