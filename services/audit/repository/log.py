"""Write the log and its side table, and erase persons from the latter."""

import hashlib
from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from chassis.database import Transaction
from services.audit.domain.leaves import LogRecord

# Writers share this lock and an erasure takes it alone: what an erasure does not find has been
# written by nobody, and whoever writes later sees that the person is gone.
_ERASURE_LOCK = (1734440036, 2)

_LOCK_SHARED = "SELECT pg_advisory_xact_lock_shared($1, $2)"
_LOCK_ALONE = "SELECT pg_advisory_xact_lock($1, $2)"

_ERASED = "SELECT digest FROM erased_persons WHERE digest = ANY ($1::bytea[])"

_INSERT_LOG = """
INSERT INTO audit_log (received_at, event_id, type, source, producerseq, outcome, subject,
    occurred_at, trace_id, leaf_bytes)
SELECT * FROM unnest($1::timestamptz[], $2::uuid[], $3::text[], $4::text[], $5::bigint[],
    $6::text[], $7::text[], $8::timestamptz[], $9::text[], $10::bytea[])
"""

_INSERT_PERSONAL = """
INSERT INTO audit_personal (received_at, event_id, party, person_id, salt, body, actor, target,
    session_id, ip)
SELECT * FROM unnest($1::timestamptz[], $2::uuid[], $3::text[], $4::uuid[], $5::bytea[],
    $6::bytea[], $7::text[], $8::text[], $9::uuid[], $10::inet[])
"""


async def begin_writing(tx: Transaction, *, erasing: bool) -> datetime:
    """Take the place of a writer, or of an eraser, and return the database's time."""
    await tx.fetch_row(_LOCK_ALONE if erasing else _LOCK_SHARED, *_ERASURE_LOCK)
    row = await tx.fetch_row("SELECT clock_timestamp() AS now")
    assert row is not None  # noqa: S101 - there is always a time
    now: datetime = row["now"]
    return now


async def list_erased(tx: Transaction, persons: Collection[UUID]) -> set[UUID]:
    """Return which of *persons* have been erased."""
    digests = {_digest(person): person for person in persons}
    if not digests:
        return set()
    rows = await tx.fetch_rows(_ERASED, list(digests))
    return {digests[bytes(row["digest"])] for row in rows}


async def add(tx: Transaction, records: Sequence[LogRecord]) -> None:
    """Add rows to the log with their personal records; two statements whatever their number."""
    log = [
        (
            record.received_at,
            record.event_id,
            record.type,
            record.source,
            record.producerseq,
            record.outcome,
            record.subject,
            record.occurred_at,
            record.trace_id,
            record.leaf_bytes,
        )
        for record in records
    ]
    personal = [
        (
            record.received_at,
            record.event_id,
            share.party,
            share.person_id,
            share.salt,
            share.body,
            share.actor,
            share.target,
            share.session_id,
            share.ip,
        )
        for record in records
        for share in record.personal
    ]
    if log:
        await (await tx.driver()).execute(_INSERT_LOG, *zip(*log, strict=True))
    if personal:
        await (await tx.driver()).execute(_INSERT_PERSONAL, *zip(*personal, strict=True))


async def erase(tx: Transaction, person: UUID) -> int:
    """Delete every personal record of *person* for good; return how many there were."""
    erased: int = await tx.scalar(sa.select(sa.func.erase_person(person)))
    return erased


def _digest(person: UUID) -> bytes:
    return hashlib.sha256(str(person).encode()).digest()
