"""The stored logins and failures."""

from dataclasses import asdict
from uuid import UUID

import sqlalchemy as sa

from chassis.database import Transaction
from services.identity.domain.history import FailedAttempt, LoginRecord
from services.identity.domain.paging import Page, write_cursor
from services.identity.models import failed_login_attempts, login_history


async def add_login(tx: Transaction, record: LoginRecord) -> None:
    """Store one attempt."""
    await tx.execute(sa.insert(login_history).values(asdict(record)))


async def add_failure(tx: Transaction, failure: FailedAttempt) -> None:
    """Store one failure."""
    await tx.execute(sa.insert(failed_login_attempts).values(asdict(failure)))


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
