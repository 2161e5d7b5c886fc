"""Subjects: locked, read, moved, forgotten; locked first, before sessions and tokens."""

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from chassis.database import Named, Transaction
from services.token.domain.subjects import Subject
from services.token.models import subjects

# On the driver's connection: logins wait for them, and refreshes that identity has to confirm.
_LOCK = "SELECT * FROM subjects WHERE user_id = $1 FOR UPDATE"
_STORE = """
UPDATE subjects SET roles = $2, roles_version = $3, status = $4, status_version = $5,
    sessions_valid_from = $6, checked_at = $7
WHERE user_id = $1
"""


async def find_subject(tx: Transaction, user_id: UUID) -> Subject | None:
    """Return what is known of a user, if anything; locks nothing."""
    found = sa.select(subjects).where(subjects.c.user_id == user_id)
    row = (await tx.execute(found)).one_or_none()
    return subject_of(row) if row else None


async def lock_subject(tx: Transaction, user_id: UUID) -> Subject:
    """Lock a user's row against logins, refreshes and other changes; make it if need be."""
    found = await tx.fetch_row(_LOCK, user_id)
    if found is None:
        fresh = insert(subjects).values(_values(Subject(user_id=user_id)))
        await tx.execute(fresh.on_conflict_do_nothing())
        found = await tx.fetch_row(_LOCK, user_id)
    assert found is not None  # noqa: S101 - it is there: only long deleted ones go
    return subject_of(Named(found))


async def store_subject(tx: Transaction, subject: Subject) -> None:
    """Write a locked subject back."""
    await tx.fetch_row(_STORE, *_values(subject).values())


async def mark_deleted(tx: Transaction, user_id: UUID, *, now: datetime) -> None:
    """Remember since when a user is deleted."""
    where = (subjects.c.user_id == user_id) & subjects.c.deleted_at.is_(None)
    await tx.execute(sa.update(subjects).where(where).values(deleted_at=now))


async def forget_deleted(tx: Transaction, *, before: datetime, limit: int) -> int:
    """Forget at most *limit* users deleted before a time, of whom no session is left; say how many.

    The service itself has no right to delete subjects: the function of the owner's does it.
    """
    forgotten: int = await tx.scalar(sa.select(sa.func.forget_subjects(before, limit)))
    return forgotten


def subject_of(row: Any) -> Subject:
    """Return a row of `subjects` as a value."""
    return Subject(
        user_id=row.user_id,
        roles=frozenset(row.roles),
        roles_version=row.roles_version,
        status=row.status,
        status_version=row.status_version,
        sessions_valid_from=row.sessions_valid_from,
        checked_at=row.checked_at,
    )


def _values(subject: Subject) -> dict[str, Any]:
    return {
        "user_id": subject.user_id,
        "roles": sorted(subject.roles),
        "roles_version": subject.roles_version,
        "status": subject.status,
        "status_version": subject.status_version,
        "sessions_valid_from": subject.sessions_valid_from,
        "checked_at": subject.checked_at,
    }
