"""Follow each producer's numbers and keep what is missing."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from chassis.database import Transaction
from services.audit.domain.sequences import Gap
from services.audit.models import AUDIT_LOG, PRODUCER_GAPS, PRODUCER_SEQUENCES

_WATCH_LOCK = (1734440036, 3)


async def claim_watch(tx: Transaction) -> bool:
    """Become the one watcher until this transaction ends; False when another one is."""
    claimed: bool = await tx.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(*_WATCH_LOCK)))
    return claimed


async def list_sources(tx: Transaction) -> dict[str, int]:
    """Return every source that numbers its events, with how far it was looked at."""
    # One index probe per source, however long the log is.
    statement = sa.text(
        """
        WITH RECURSIVE sources AS (
            (SELECT source FROM audit_log WHERE producerseq IS NOT NULL ORDER BY source LIMIT 1)
            UNION ALL
            SELECT (
                SELECT l.source FROM audit_log AS l
                WHERE l.source > s.source AND l.producerseq IS NOT NULL
                ORDER BY l.source LIMIT 1
            ) FROM sources AS s WHERE s.source IS NOT NULL
        )
        SELECT s.source, coalesce(p.seen_to, 0) AS seen_to FROM sources AS s
        LEFT JOIN producer_sequences AS p ON p.source = s.source
        WHERE s.source IS NOT NULL
        """
    )
    return {row.source: row.seen_to for row in await tx.execute(statement)}


async def list_numbers(
    tx: Transaction, source: str, *, above: int, below: int | None = None, limit: int
) -> Sequence[int]:
    """Return what *source* numbered between *above* and *below*, both excluded, ascending."""
    c = AUDIT_LOG.c
    statement = (
        sa.select(c.producerseq)
        .where(c.source == source, c.producerseq > above)
        .order_by(c.producerseq)
        .limit(limit)
    )
    if below is not None:
        statement = statement.where(c.producerseq < below)
    return list((await tx.execute(statement)).scalars())


async def set_seen(tx: Transaction, source: str, seen_to: int) -> None:
    """Remember that *source* was looked at up to *seen_to*."""
    statement = insert(PRODUCER_SEQUENCES).values(source=source, seen_to=seen_to)
    update = statement.on_conflict_do_update(index_elements=["source"], set_={"seen_to": seen_to})
    await tx.execute(update)


async def list_gaps(tx: Transaction, source: str, *, limit: int) -> list[Gap]:
    """Return the first known gaps of *source*."""
    c = PRODUCER_GAPS.c
    statement = (
        sa.select(c.first_missing, c.last_missing)
        .where(c.source == source)
        .order_by(c.first_missing)
        .limit(limit)
    )
    return [Gap(row.first_missing, row.last_missing) for row in await tx.execute(statement)]


async def replace_gap(tx: Transaction, source: str, gap: Gap, rest: Sequence[Gap]) -> None:
    """Put what remains of *gap* in its place; it stays as old as it was."""
    c = PRODUCER_GAPS.c
    deleted = sa.delete(PRODUCER_GAPS).where(c.source == source, c.first_missing == gap.first)
    noticed_at = await tx.scalar(deleted.returning(c.noticed_at))
    for part in rest:
        await tx.execute(_gap(source, part).values(noticed_at=noticed_at))


async def add_gaps(tx: Transaction, source: str, gaps: Sequence[Gap]) -> None:
    """Note that numbers are missing."""
    for gap in gaps:
        await tx.execute(_gap(source, gap))


async def count_missing(tx: Transaction) -> dict[str, int]:
    """Return how many numbers of each source are missing."""
    c = PRODUCER_GAPS.c
    missing = sa.func.coalesce(sa.func.sum(c.last_missing - c.first_missing + 1), 0)
    missing_events = missing.label("missing")
    statement = (
        sa.select(PRODUCER_SEQUENCES.c.source, missing_events)
        .outerjoin(PRODUCER_GAPS, c.source == PRODUCER_SEQUENCES.c.source)
        .group_by(PRODUCER_SEQUENCES.c.source)
    )
    return {row.source: int(row.missing) for row in await tx.execute(statement)}


def _gap(source: str, gap: Gap) -> sa.Insert:
    return sa.insert(PRODUCER_GAPS).values(
        source=source, first_missing=gap.first, last_missing=gap.last
    )
