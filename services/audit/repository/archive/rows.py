"""Read a partition for its archive, page by page along its key."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from chassis.database import Transaction
from services.audit.domain.archive.rows import Columns, Share
from services.audit.models import AUDIT_LOG, AUDIT_PERSONAL

Place = tuple[datetime, UUID]

_COLUMNS = [AUDIT_LOG.c[field.name] for field in fields(Columns)]


async def list_rows(
    tx: Transaction,
    after: Place | None,
    *,
    period: tuple[datetime, datetime],
    limit: int,
    most_bytes: int,
) -> Sequence[Columns]:
    """Return the rows of a partition's *period* behind the place *after*, in order.

    At most *limit*, and, but for a single one, no more than *most_bytes* with their personal data.
    """
    c = AUDIT_LOG.c
    order = (c.received_at, c.event_id)
    number = sa.func.row_number().over(order_by=order).label("number")
    size = sa.func.sum(_size()).over(order_by=order).label("size")
    statement = (
        sa.select(*_COLUMNS, number, size)
        .where(c.received_at >= period[0], c.received_at < period[1])
        .order_by(*order)
        .limit(limit)
    )
    if after is not None:
        statement = statement.where(c.received_at >= after[0], sa.tuple_(*order) > _place(after))
    found = statement.subquery()
    fitting = (
        sa.select(*(found.c[column.name] for column in _COLUMNS))
        .where(sa.or_(found.c.size <= most_bytes, found.c.number == 1))
        .order_by(found.c.received_at, found.c.event_id)
    )
    return [Columns(**row) for row in (await tx.execute(fitting)).mappings()]


async def list_shares(tx: Transaction, first: Place, last: Place) -> dict[UUID, list[Share]]:
    """Return what is there of the personal data of the rows from *first* to *last*."""
    c = AUDIT_PERSONAL.c
    place = sa.tuple_(c.received_at, c.event_id)
    statement = (
        sa.select(c.event_id, c.party, c.person_id, c.salt, c.body)
        .where(
            c.received_at.between(first[0], last[0]),
            place >= _place(first),
            place <= _place(last),
        )
        .order_by(c.event_id, c.party.desc())
    )
    found: dict[UUID, list[Share]] = {}
    for row in (await tx.execute(statement)).mappings():
        values = dict(row)
        found.setdefault(values.pop("event_id"), []).append(Share(**values))
    return found


async def count_left(tx: Transaction, places: Sequence[tuple[datetime, UUID, str]]) -> int:
    """Count which of these shares (place and party) the side table still has."""
    c = AUDIT_PERSONAL.c
    key = sa.tuple_(c.received_at, c.event_id, c.party)
    statement = sa.select(sa.func.count()).select_from(AUDIT_PERSONAL).where(key.in_(places))
    left: int = await tx.scalar(statement)
    return left


def _size() -> sa.ColumnElement[int]:
    """Return how much a row holds, in bytes, with what is beside it."""
    log, personal = AUDIT_LOG.c, AUDIT_PERSONAL.c
    beside = sa.select(sa.func.coalesce(sa.func.sum(sa.func.octet_length(personal.body)), 0)).where(
        personal.received_at == log.received_at, personal.event_id == log.event_id
    )
    return sa.func.octet_length(log.leaf_bytes) + beside.correlate(AUDIT_LOG).scalar_subquery()


def _place(place: Place) -> sa.Tuple:
    c = AUDIT_LOG.c
    return sa.tuple_(
        sa.literal(place[0], c.received_at.type), sa.literal(place[1], c.event_id.type)
    )
