"""Sessions: listed, ended, erased, removed."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chassis.database import Named, Transaction
from chassis.paging import Page, write_cursor
from contracts.token import EndReason
from services.token.domain.sessions import Session
from services.token.models import sessions

c = sessions.c

# On the driver's connection: a login waits for them when it ends the session before.
_LIST_RUNNING = """
SELECT * FROM sessions
WHERE user_id = $1 AND ended_at IS NULL AND ($2::bigint IS NULL OR subject_version < $2)
ORDER BY created_at, id
"""
_LOCK_RUNNING = """
SELECT id FROM sessions WHERE id = ANY ($1::uuid[]) AND ended_at IS NULL ORDER BY id FOR UPDATE
"""
_MARK_ENDED = """
UPDATE sessions SET ended_at = $2, ended_reason = $3
WHERE id = ANY ($1::uuid[]) AND ended_at IS NULL
RETURNING id
"""


async def list_running(
    tx: Transaction, user_id: UUID, *, below_version: int | None = None
) -> Sequence[Session]:
    """Return the sessions of a user that have not ended, oldest first.

    *below_version* leaves out those authenticated at that version of the user, or later.
    """
    rows = await tx.fetch_rows(_LIST_RUNNING, user_id, below_version)
    return [session_of(Named(row)) for row in rows]


async def list_live(
    tx: Transaction, user_id: UUID, *, now: datetime, limit: int, before: UUID | None
) -> Page[Session]:
    """Return the live sessions of a user, newest first, older than *before*."""
    lasting = (c.expires_at > now) & (c.absolute_expires_at > now)
    found = sa.select(sessions).where((c.user_id == user_id) & c.ended_at.is_(None) & lasting)
    if before is not None:
        found = found.where(c.id < before)
    rows = (await tx.execute(found.order_by(c.id.desc()).limit(limit + 1))).all()
    live = [session_of(row) for row in rows[:limit]]
    return Page(live, write_cursor(live[-1].id) if len(rows) > limit else None)


async def find_session(tx: Transaction, session_id: UUID) -> Session | None:
    """Return a session, ended or not."""
    row = (await tx.execute(sa.select(sessions).where(c.id == session_id))).one_or_none()
    return session_of(row) if row else None


async def lock_session(tx: Transaction, session_id: UUID) -> Session | None:
    """Lock a session against refreshes and other ends until the transaction is over."""
    found = sa.select(sessions).where(c.id == session_id).with_for_update(key_share=True)
    row = (await tx.execute(found)).one_or_none()
    return session_of(row) if row else None


async def mark_ended(
    tx: Transaction, ids: Collection[UUID], *, reason: EndReason, now: datetime
) -> set[UUID]:
    """End those of the sessions *ids* that still run; return which these were."""
    if len(ids) > 1:
        # Everybody locks several in one order: they wait for each other, never in a circle.
        await tx.fetch_rows(_LOCK_RUNNING, list(ids))
    return {row["id"] for row in await tx.fetch_rows(_MARK_ENDED, list(ids), now, reason)}


async def lift_session(tx: Transaction, user_id: UUID, session_id: UUID, version: int) -> None:
    """Let a running session count as authenticated at *version*: its user just proved itself."""
    where = (c.id == session_id) & (c.user_id == user_id) & (c.subject_version < version)
    await tx.execute(
        sa.update(sessions).where(where & c.ended_at.is_(None)).values(subject_version=version)
    )


async def erase_persons(tx: Transaction, user_id: UUID) -> None:
    """Remove what says where and with what a user logged in."""
    nothing = {"device": None, "client_address": None, "user_agent": None}
    await tx.execute(sa.update(sessions).where(c.user_id == user_id).values(nothing))


async def list_expired(
    tx: Transaction, ids: Collection[UUID], *, now: datetime
) -> Sequence[Session]:
    """Lock and return those of the sessions *ids* that ran out without having been ended."""
    expired = (
        sa.select(sessions)
        .where(c.id.in_(ids) & c.ended_at.is_(None) & (c.expires_at <= now))
        .order_by(c.id)
        .with_for_update()
    )
    return [session_of(row) for row in await tx.execute(expired)]


async def list_of_older_epochs(tx: Transaction, epoch: int, *, limit: int) -> Sequence[Session]:
    """Lock and return at most *limit* running sessions from before *epoch* that nobody holds."""
    older = (
        sa.select(sessions)
        .where((c.epoch < epoch) & c.ended_at.is_(None))
        .limit(limit)
        .with_for_update(key_share=True, skip_locked=True)
    )
    return [session_of(row) for row in await tx.execute(older)]


async def delete_ended(tx: Transaction, *, before: datetime, limit: int) -> int:
    """Delete at most *limit* sessions that ended before a time; return how many."""
    old = (
        sa.select(c.id)
        .where(c.ended_at < before)
        .order_by(c.ended_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return (await tx.execute(sa.delete(sessions).where(c.id.in_(old)))).rowcount


def session_of(row: Any) -> Session:
    """Return a row of `sessions` as a value."""
    return Session(
        id=row.id,
        user_id=row.user_id,
        subject_version=row.subject_version,
        amr=tuple(row.amr),
        scope=row.scope,
        authenticated_at=row.authenticated_at,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
        expires_at=row.expires_at,
        absolute_expires_at=row.absolute_expires_at,
        device=row.device,
        client_address=row.client_address,
        user_agent=row.user_agent,
        ended_at=row.ended_at,
        epoch=row.epoch,
        refreshes_paid_until=row.refreshes_paid_until,
    )
