"""Alerts as administrators see and settle them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from chassis.caller import Caller, Principal
from chassis.clock import Clock
from chassis.database import Database, Transaction
from chassis.errors import Unauthenticated
from chassis.outbox import Outbox
from contracts.audit import AlertAcknowledged, AlertClosed
from contracts.envelope import EventData
from services.audit.domain.detection.alerts import Alert, AlertFilters, Status
from services.audit.errors import AdminRoleRequired, AlertIsClosed, AlertNotFound
from services.audit.repository import alerts


@dataclass(frozen=True, slots=True)
class AlertPage:
    """Alerts, newest first; `next_cursor` is None on the last page."""

    alerts: Sequence[Alert]
    next_cursor: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alerts:
    """Lists alerts and keeps who took them up and who closed them."""

    database: Database
    outbox: Outbox
    clock: Clock

    async def list_alerts(
        self, caller: Caller, filters: AlertFilters, *, after: UUID | None, limit: int
    ) -> AlertPage:
        """Return one page. Raises Unauthenticated, AdminRoleRequired."""
        _administrator(caller)
        async with self.database.transaction() as tx:
            found = await alerts.list_alerts(tx, filters, after=after, limit=limit + 1)
        shown = found[:limit]
        return AlertPage(shown, shown[-1].id if len(found) > limit else None)

    async def acknowledge(self, caller: Caller, alert_id: UUID) -> Alert:
        """Note that somebody looks at the alert; the first one stays named.

        Raises Unauthenticated, AdminRoleRequired, AlertNotFound, AlertIsClosed.
        """
        administrator = _administrator(caller)
        async with self.database.transaction() as tx:
            alert = await _get(tx, alert_id)
            if alert.status is Status.CLOSED:
                raise AlertIsClosed
            if alert.status is Status.ACKNOWLEDGED:
                return alert
            taken = replace(
                alert,
                status=Status.ACKNOWLEDGED,
                acknowledged_at=self.clock.now(),
                acknowledged_by=administrator.user_id,
            )
            await self._settle(tx, caller, taken, AlertAcknowledged(alert_id=alert.id))
        return taken

    async def close(self, caller: Caller, alert_id: UUID) -> Alert:
        """Note that the alert is dealt with; who closed it first stays named.

        Raises Unauthenticated, AdminRoleRequired, AlertNotFound.
        """
        administrator = _administrator(caller)
        async with self.database.transaction() as tx:
            alert = await _get(tx, alert_id)
            if alert.status is Status.CLOSED:
                return alert
            closed = replace(
                alert,
                status=Status.CLOSED,
                closed_at=self.clock.now(),
                closed_by=administrator.user_id,
            )
            await self._settle(tx, caller, closed, AlertClosed(alert_id=alert.id))
        return closed

    async def _settle(self, tx: Transaction, caller: Caller, alert: Alert, fact: EventData) -> None:
        await alerts.settle(tx, alert)
        await self.outbox.emit(tx, fact, subject=str(alert.id), caller=caller)


async def _get(tx: Transaction, alert_id: UUID) -> Alert:
    alert = await alerts.find_for_update(tx, alert_id)
    if alert is None:
        raise AlertNotFound
    return alert


def _administrator(caller: Caller) -> Principal:
    if caller.principal is None:
        raise Unauthenticated
    if "admin" not in caller.principal.roles:
        raise AdminRoleRequired
    return caller.principal
