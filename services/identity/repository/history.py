"""What happened at the door: each account's logins, and every failure."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from chassis.database import Transaction
from services.identity.domain.paging import Page, write_cursor
from services.identity.models import failed_login_attempts, login_history

SUCCEEDED = "succeeded"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRecord:
    """One attempt to log in to an account; `outcome` is `succeeded` or why it was refused."""

    id: UUID
    user_id: UUID
    occurred_at: datetime
    ip: str | None
    user_agent: str | None
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedAttempt:
    """One failure; of a name nobody has only the keyed hash."""

    id: UUID
    user_id: UUID | None
    name_hash: str | None
    attempted_at: datetime
    ip: str | None
    user_agent: str | None
    reason: str


async def add_login(tx: Transaction, record: LoginRecord) -> None:
    """Store one attempt."""
    row = {name: getattr(record, name) for name in LoginRecord.__slots__}
    await tx.execute(sa.insert(login_history).values(row))


async def add_failure(tx: Transaction, failure: FailedAttempt) -> None:
    """Store one failure."""
    row = {name: getattr(failure, name) for name in FailedAttempt.__slots__}
    await tx.execute(sa.insert(failed_login_attempts).values(row))


async def list_logins(
    tx: Transaction, user_id: UUID, *, limit: int, before: UUID | None
) -> Page[LoginRecord]:
    """Return the account's attempts, newest first, older than *before*."""
    c = login_history.c
    statement = sa.select(login_history).where(c.user_id == user_id)
    if before is not None:
        statement = statement.where(c.id < before)
    rows = (await tx.execute(statement.order_by(c.id.desc()).limit(limit + 1))).all()
    records = [LoginRecord(**row._mapping) for row in rows[:limit]]  # noqa: SLF001 - public name
    more = len(rows) > limit
    return Page(records, write_cursor(records[-1].id) if more else None)


async def list_failures(
    tx: Transaction, user_id: UUID, *, limit: int, before: UUID | None
) -> Page[FailedAttempt]:
    """Return the account's failures, newest first, older than *before*."""
    c = failed_login_attempts.c
    statement = sa.select(failed_login_attempts).where(c.user_id == user_id)
    if before is not None:
        statement = statement.where(c.id < before)
    rows = (await tx.execute(statement.order_by(c.id.desc()).limit(limit + 1))).all()
    failures = [FailedAttempt(**row._mapping) for row in rows[:limit]]  # noqa: SLF001 - public name
    more = len(rows) > limit
    return Page(failures, write_cursor(failures[-1].id) if more else None)
