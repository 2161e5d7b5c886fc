"""The alerts: opened and grown by the detector, settled by administrators."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import INET

from chassis.database import Transaction
from services.audit.domain.detection.alerts import Alert, AlertFilters, Status
from services.audit.domain.detection.rules import Rule
from services.audit.models import ALERTS

_c = ALERTS.c
_FIELDS = tuple(_c[name] for name in Alert.__dataclass_fields__)


async def list_running(
    tx: Transaction, incidents: Collection[str], *, since: datetime
) -> list[Alert]:
    """Return the alerts of *incidents* that were seen at *since* or later."""
    statement = sa.select(*_FIELDS).where(_c.incident.in_(incidents), _c.last_seen >= since)
    return [_alert(row) for row in await tx.execute(statement)]


async def add(tx: Transaction, alert: Alert) -> None:
    """Store a new alert as the next one of its incident."""
    earlier = sa.select(sa.func.coalesce(sa.func.max(_c.number), 0) + 1).where(
        _c.incident == alert.incident
    )
    values = _values(alert) | {"number": earlier.scalar_subquery()}
    await tx.execute(sa.insert(ALERTS).values(values))


async def grow(tx: Transaction, alert: Alert) -> None:
    """Store what the detector knows of *alert*; what administrators made of it stays."""
    names = ("addresses", "address_count", "accounts", "attempts", "blocked")
    values = _values(alert)
    grown = {name: values[name] for name in (*names, "first_seen", "last_seen")}
    await tx.execute(sa.update(ALERTS).where(_c.id == alert.id).values(grown))


async def list_alerts(
    tx: Transaction, filters: AlertFilters, *, after: UUID | None, limit: int
) -> Sequence[Alert]:
    """Return at most *limit* alerts raised before *after*, the newest first."""
    statement = sa.select(*_FIELDS).where(*_conditions(filters)).order_by(_c.id.desc()).limit(limit)
    if after is not None:
        statement = statement.where(_c.id < after)
    return [_alert(row) for row in await tx.execute(statement)]


async def find_for_update(tx: Transaction, alert_id: UUID) -> Alert | None:
    """Return one alert, kept from others until the transaction ends."""
    statement = sa.select(*_FIELDS).where(_c.id == alert_id).with_for_update()
    row = (await tx.execute(statement)).one_or_none()
    return None if row is None else _alert(row)


async def settle(tx: Transaction, alert: Alert) -> None:
    """Store what an administrator made of *alert*."""
    names = ("status", "acknowledged_at", "acknowledged_by", "closed_at", "closed_by")
    values = {name: getattr(alert, name) for name in names}
    await tx.execute(sa.update(ALERTS).where(_c.id == alert.id).values(values))


async def count_open(tx: Transaction) -> int:
    """Return how many alerts nobody has taken up."""
    counted = sa.select(sa.func.count()).where(_c.status == Status.OPEN)
    count: int = await tx.scalar(counted)
    return count


async def erase(tx: Transaction, persons: Collection[UUID]) -> None:
    """Leave nothing of *persons*: neither whom an alert is about, nor who settled one."""
    await tx.execute(
        sa.update(ALERTS)
        .where(_c.user_id.in_(persons))
        .values(
            user_id=None,
            address=None,
            addresses=[],
            incident=sa.func.concat("erased:", _c.id),
        )
    )
    for column in (_c.acknowledged_by, _c.closed_by):
        statement = sa.update(ALERTS).where(column.in_(persons)).values({column: None})
        await tx.execute(statement)


async def prune(
    tx: Transaction, *, now: datetime, retention: timedelta, most: int, limit: int
) -> int:
    """Delete alerts last seen longer ago than *retention*, or raised before the newest *most*.

    At most *limit*; returns how many went.
    """
    surplus = sa.select(_c.id).order_by(_c.id.desc()).offset(most).limit(1).scalar_subquery()
    old = sa.and_(_c.raised_at < now - retention, _c.last_seen < now - retention)
    doomed = (
        sa.select(_c.id)
        .where(sa.or_(old, _c.id <= surplus))
        .order_by(_c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return (await tx.execute(sa.delete(ALERTS).where(_c.id.in_(doomed)))).rowcount


def _conditions(filters: AlertFilters) -> list[sa.ColumnElement[bool]]:
    conditions = [
        column == value
        for column, value in (
            (_c.status, filters.status),
            (_c.rule, filters.rule),
            (_c.severity, filters.severity),
            (_c.user_id, filters.user_id),
        )
        if value is not None
    ]
    if filters.address is not None:
        address = sa.cast(str(filters.address), INET)
        conditions.append(address.op("<<=", is_comparison=True)(sa.func.any(_c.addresses)))
    if filters.since is not None:
        conditions.append(_c.raised_at >= filters.since)
    if filters.until is not None:
        conditions.append(_c.raised_at < filters.until)
    return conditions


def _values(alert: Alert) -> dict[str, Any]:
    values = {name: getattr(alert, name) for name in Alert.__dataclass_fields__}
    return values | {
        "address": None if alert.address is None else str(alert.address),
        "addresses": [str(address) for address in alert.addresses],
    }


def _alert(row: Any) -> Alert:
    values = dict(row._mapping)  # noqa: SLF001 - the public name of SQLAlchemy's row
    return Alert(
        **values
        | {
            "rule": Rule(row.rule),
            "status": Status(row.status),
            "addresses": tuple(row.addresses),
        }
    )
