"""What the detector counts: added with the log's rows, judged in turn, kept for some hours."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chassis.database import Transaction
from services.audit.domain.detection.evidence import Evidence, Kind
from services.audit.models import DETECTION_EVIDENCE

_DETECTOR_LOCK = (1734440036, 4)

_INSERT = """
INSERT INTO detection_evidence (kind, occurred_at, received_at, account, user_id, address, source,
    agent)
SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[], $4::text[], $5::uuid[],
    $6::inet[], $7::cidr[], $8::text[])
"""

_UNJUDGED = """
SELECT id, kind, occurred_at, received_at, account, user_id, address, source, agent
FROM detection_evidence WHERE NOT judged ORDER BY id LIMIT $1
"""

# The oldest rows are the first by id: whether they may go is asked of one batch, not of the table.
_PRUNE = """
DELETE FROM detection_evidence WHERE id IN (
    SELECT id FROM (
        SELECT id, received_at, judged FROM detection_evidence ORDER BY id LIMIT $3
    ) AS oldest
    WHERE judged AND (
        received_at < now() - $1::interval
        OR id <= (SELECT max(id) FROM detection_evidence) - $2::bigint
    )
)
"""

_c = DETECTION_EVIDENCE.c


async def claim_detection(tx: Transaction) -> bool:
    """Become the one detector until this transaction ends; False when another one is."""
    claimed: bool = await tx.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(*_DETECTOR_LOCK)))
    return claimed


async def add(tx: Transaction, found: Sequence[Evidence]) -> None:
    """Keep what is to be judged, in one statement."""
    if not found:
        return
    connection = await tx.driver()
    rows = (
        (
            one.kind.value,
            one.occurred_at,
            one.received_at,
            one.account,
            one.user_id,
            one.address,
            one.source,
            one.agent,
        )
        for one in found
    )
    await connection.execute(_INSERT, *(list(column) for column in zip(*rows, strict=True)))


async def list_unjudged(tx: Transaction, *, limit: int) -> list[Evidence]:
    """Return what no rule has seen yet, the first come first."""
    connection = await tx.driver()
    return [_evidence(row) for row in await connection.fetch(_UNJUDGED, limit)]


async def mark_judged(tx: Transaction, ids: Collection[int]) -> None:
    """Remember that the rules have seen these."""
    await tx.execute(sa.update(DETECTION_EVIDENCE).where(_c.id.in_(ids)).values(judged=True))


async def measure_lag(tx: Transaction) -> timedelta:
    """Return for how long the oldest unjudged row has been waiting."""
    oldest = sa.select(_c.received_at).where(~_c.judged).order_by(_c.id).limit(1).scalar_subquery()
    waiting = sa.func.clock_timestamp() - oldest
    lag: timedelta | None = await tx.scalar(sa.select(waiting))
    return max(timedelta(0), lag or timedelta(0))


async def erase(tx: Transaction, persons: Collection[UUID]) -> None:
    """Delete what is about *persons*."""
    await tx.execute(sa.delete(DETECTION_EVIDENCE).where(_c.user_id.in_(persons)))


async def prune(tx: Transaction, *, retention: timedelta, most: int, limit: int) -> int:
    """Delete judged rows received longer ago than *retention*, or beyond the newest *most*.

    At most *limit*; returns how many went.
    """
    connection = await tx.driver()
    status: str = await connection.execute(_PRUNE, retention, most, limit)
    return int(status.rpartition(" ")[2])


def _evidence(row: Any) -> Evidence:
    return Evidence(**dict(row) | {"kind": Kind(row["kind"])})
