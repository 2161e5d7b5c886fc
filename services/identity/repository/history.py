"""The stored logins and failures."""

from dataclasses import asdict
from uuid import UUID

import sqlalchemy as sa

from chassis.database import Transaction
from chassis.paging import Page, write_cursor
from services.identity.domain.history import FailedAttempt, LoginRecord
from services.identity.models import failed_login_attempts, login_history, users


async def add_failure(tx: Transaction, failure: FailedAttempt) -> None:
    """Store one failure, for its owner's history as well when the name is somebody's.

    Both statements run for every name: the time of an answer must not tell which ones exist.
    """
    await tx.execute(sa.insert(failed_login_attempts).values(asdict(failure)))
    row = {
        "id": failure.id,
        "occurred_at": failure.attempted_at,
        "ip": failure.ip,
        "user_agent": failure.user_agent,
        "outcome": failure.reason,
    }
    c = login_history.c
    of_owner = sa.select(
        users.c.id, *(sa.literal(value, c[name].type) for name, value in row.items())
    ).where(users.c.id == sa.literal(failure.user_id, c.user_id.type))
    await tx.execute(sa.insert(login_history).from_select(["user_id", *row], of_owner))


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
