"""The failures of one source within the last minutes: a window that slides (D6)."""

from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa

from chassis.database import Transaction
from services.identity.domain.lockout import Limits, first_id_at, moment_of

_FAIL_SOURCE = sa.text("""
UPDATE login_sources SET
    failures = array_append(array_remove(failures, CAST(:id AS uuid)), CAST(:id AS uuid)),
    pending = array_remove(pending, CAST(:id AS uuid)),
    touched_at = :now
WHERE source = :source
""")

_RELEASE_SOURCE = sa.text("""
UPDATE login_sources SET
    failures = array_remove(failures, CAST(:id AS uuid)),
    pending = array_remove(pending, CAST(:id AS uuid))
WHERE source = :source
""")

_SOURCE_FAILURES = sa.text("SELECT failures FROM login_sources WHERE source = :source")


async def fail(tx: Transaction, source: str, attempt: UUID, *, now: datetime) -> None:
    """Turn the source's reservation into a failure."""
    await tx.execute(_FAIL_SOURCE, {"source": source, "id": attempt, "now": now})


async def release(tx: Transaction, source: str, attempt: UUID) -> None:
    """Give the source's slot back."""
    await tx.execute(_RELEASE_SOURCE, {"source": source, "id": attempt})


async def wait_for(tx: Transaction, source: str, *, now: datetime, limits: Limits) -> timedelta:
    """Return how long until the source has a slot again."""
    failures = await tx.scalar(_SOURCE_FAILURES, {"source": source}) or []
    live = sorted(f for f in failures if f >= first_id_at(now - limits.source_window))
    if len(live) < limits.max_per_source:
        return timedelta(seconds=1)
    freed_by = live[len(live) - limits.max_per_source]
    return moment_of(freed_by) + limits.source_window - now
