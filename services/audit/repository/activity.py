"""Counts per hour of what happened on the platform."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime

import sqlalchemy as sa

from chassis.database import Transaction
from services.audit.domain.statistics import Interval, Span
from services.audit.models import ACTIVITY_COUNTS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Sorted, so that batches that meet wait for each other and never in a circle.
_ADD = """
INSERT INTO activity_counts AS a (type, hour, count)
SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::bigint[])
ON CONFLICT (type, hour) DO UPDATE SET count = a.count + excluded.count
"""

_FOLD = """
WITH old AS (
    DELETE FROM activity_counts WHERE (type, hour) IN (
        SELECT type, hour FROM activity_counts
        WHERE hour <> $1 AND hour < $2 ORDER BY type, hour LIMIT $3
        FOR UPDATE SKIP LOCKED
    ) RETURNING type, count
), folded AS (
    INSERT INTO activity_counts AS a (type, hour, count)
    SELECT type, $1, sum(count) FROM old GROUP BY type ORDER BY type
    ON CONFLICT (type, hour) DO UPDATE SET count = a.count + excluded.count
)
SELECT count(*) FROM old
"""

_c = ACTIVITY_COUNTS.c


async def add(tx: Transaction, counts: Mapping[tuple[str, datetime], int]) -> None:
    """Add to what happened in each hour, by type."""
    if not counts:
        return
    rows = [(type_, hour, count) for (type_, hour), count in sorted(counts.items())]
    connection = await tx.driver()
    await connection.execute(_ADD, *map(list, zip(*rows, strict=True)))


async def count_by_interval(tx: Transaction, span: Span) -> dict[tuple[str, datetime], int]:
    """Return how many events of each type each bucket of *span* has; empty ones are left out."""
    starts_at = _truncated(span.interval)
    statement = (
        sa.select(_c.type, starts_at.label("starts_at"), sa.func.sum(_c.count).label("times"))
        .where(_c.hour >= span.starts_at, _c.hour < span.ends_at)
        .group_by(_c.type, starts_at)
    )
    rows = await tx.execute(statement)
    return {(row.type, row.starts_at.astimezone(UTC)): int(row.times) for row in rows}


async def count_ever(tx: Transaction, types: Collection[str]) -> dict[str, int]:
    """Return how many events of each of *types* there ever were."""
    statement = (
        sa.select(_c.type, sa.func.sum(_c.count).label("times"))
        .where(_c.type.in_(types))
        .group_by(_c.type)
    )
    return {row.type: int(row.times) for row in await tx.execute(statement)}


async def fold(tx: Transaction, *, before: datetime, limit: int) -> int:
    """Add at most *limit* hours that are over since *before* to the sum; return how many."""
    row = await tx.fetch_row(_FOLD, _EPOCH, before, limit)
    return 0 if row is None else int(row[0])


def _truncated(interval: Interval) -> sa.ColumnElement[datetime]:
    return sa.func.date_trunc(interval, _c.hour, "UTC")
