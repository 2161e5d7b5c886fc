"""Read the log: by filters, newest first, page by page."""

from collections.abc import Sequence
from ipaddress import ip_network
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, INET

from chassis.database import Transaction
from services.audit.domain.entries import Entry
from services.audit.domain.filters import Cursor, Filters
from services.audit.models import AUDIT_LOG, AUDIT_PERSONAL

_Conditions = list[sa.ColumnElement[bool]]


async def list_entries(
    tx: Transaction, filters: Filters, *, after: Cursor | None, limit: int
) -> Sequence[Entry]:
    """Return at most *limit* entries behind *after*, newest first."""
    log = AUDIT_LOG.c
    conditions = [*_window(AUDIT_LOG, filters, after), *_shared(filters, after)]
    if filters.type is not None:
        conditions.append(log.type == filters.type)
    if filters.outcome is not None:
        # Written out, so that any plan may use the index of what is no success.
        outcome: sa.BindParameter[str] = sa.bindparam(
            "outcome", filters.outcome, sa.Text, literal_execute=True
        )
        conditions.append(log.outcome == outcome)
    statement = (
        _entries(filters.person_id)
        .where(*conditions)
        .order_by(log.received_at.desc(), log.event_id.desc())
        .limit(limit)
    )
    return [Entry(**row) for row in (await tx.execute(statement)).mappings()]


async def find_entry(tx: Transaction, event_id: UUID) -> Entry | None:
    """Return the entry of one event, or None."""
    statement = _entries(None).where(AUDIT_LOG.c.event_id == event_id).limit(1)
    row = (await tx.execute(statement)).mappings().one_or_none()
    return None if row is None else Entry(**row)


def _entries(person_id: UUID | None) -> sa.Select[Any]:
    """Select entries with their bodies: all, or only those of one person."""
    log, personal = AUDIT_LOG.c, AUDIT_PERSONAL.c
    body = sa.func.array_agg(personal.body, type_=ARRAY(sa.LargeBinary))
    bodies = sa.select(sa.func.coalesce(body, sa.cast([], ARRAY(sa.LargeBinary)))).where(
        personal.received_at == log.received_at, personal.event_id == log.event_id
    )
    if person_id is not None:
        bodies = bodies.where(personal.person_id == person_id)
    return sa.select(
        log.event_id,
        log.received_at,
        log.occurred_at,
        log.type,
        log.source,
        log.outcome,
        log.trace_id,
        log.leaf_bytes,
        bodies.correlate(AUDIT_LOG).scalar_subquery().label("bodies"),
    )


def _window(table: sa.Table, filters: Filters, after: Cursor | None) -> _Conditions:
    """Keep *table* to the asked time and behind the cursor; it prunes partitions of both tables."""
    c = table.c
    conditions: _Conditions = []
    if filters.since is not None:
        conditions.append(c.received_at >= filters.since)
    if filters.until is not None:
        conditions.append(c.received_at < filters.until)
    if after is not None:
        last = sa.tuple_(
            sa.literal(after.received_at, c.received_at.type),
            sa.literal(after.event_id, c.event_id.type),
        )
        conditions += [
            c.received_at <= after.received_at,
            sa.tuple_(c.received_at, c.event_id) < last,
        ]
    return conditions


def _shared(filters: Filters, after: Cursor | None) -> _Conditions:
    """Ask the side table for what is personal; each filter may hold for another party."""
    personal = AUDIT_PERSONAL.c
    wanted: list[sa.Select[Any]] = []
    if filters.person_id is not None:
        wanted.append(_keys(AUDIT_PERSONAL).where(personal.person_id == filters.person_id))
    if filters.actor is not None:
        wanted.append(_keys(AUDIT_PERSONAL).where(personal.actor == filters.actor))
    if filters.ip is not None:
        network = ip_network(filters.ip)
        # Both ends besides: "within" a parameter finds no index once a plan is made for any value.
        wanted.append(
            _keys(AUDIT_PERSONAL).where(
                personal.ip.op("<<=", is_comparison=True)(_inet(network)),
                personal.ip >= _inet(network),
                personal.ip <= _inet(network.broadcast_address),
            )
        )
    key = sa.tuple_(AUDIT_LOG.c.received_at, AUDIT_LOG.c.event_id)
    window = _window(AUDIT_PERSONAL, filters, after)
    conditions: _Conditions = [key.in_(keys.where(*window)) for keys in wanted]
    if filters.target is not None:
        about_persons = _keys(AUDIT_PERSONAL).where(personal.target == filters.target, *window)
        about_things = _keys(AUDIT_LOG.alias("about")).where(
            sa.literal_column("about.subject") == filters.target
        )
        conditions.append(key.in_(sa.union_all(about_persons, about_things)))
    return conditions


def _inet(value: object) -> sa.ColumnElement[Any]:
    return sa.cast(sa.cast(str(value), sa.Text), INET)


def _keys(table: sa.FromClause) -> sa.Select[Any]:
    return sa.select(table.c.received_at, table.c.event_id)
