"""Deleting what has had its time, by index and in small batches that lock nobody out."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from chassis.database import Transaction
from services.identity.domain.lockout import first_id_at
from services.identity.models import (
    email_changes,
    email_verifications,
    failed_login_attempts,
    login_counters,
    login_history,
    login_sources,
    mail_requests,
    password_resets,
    username_holds,
)

BATCH = 500
TOKENS_KEPT = timedelta(days=7)
REQUESTS_KEPT = timedelta(days=1)
HISTORY_KEPT = timedelta(days=90)
COUNTERS_KEPT = timedelta(days=1)
EXHAUSTED_KEPT = timedelta(days=90)
SOURCES_KEPT = timedelta(hours=1)
MAX_UNOWNED_COUNTERS = 100_000
"""How many names nobody has are counted at once; the longest untouched go first."""

TASKS = (
    "verifications",
    "resets",
    "email_changes",
    "username_holds",
    "requests",
    "sources",
    "counters",
    "surplus_counters",
    "history",
    "failures",
)
"""What `prune` knows to delete."""


async def prune(tx: Transaction, task: str, *, now: datetime) -> int:
    """Delete at most one batch of what *task* names; return how many rows went."""
    table, key, doomed = _DOOMED[task](now)
    batch = doomed.limit(BATCH)
    if table not in _APPEND_ONLY:
        batch = batch.with_for_update(skip_locked=True)
    return (await tx.execute(sa.delete(table).where(key.in_(batch)))).rowcount


# The app role may not change these rows, so it cannot lock them either; nobody else does.
_APPEND_ONLY = (login_history, failed_login_attempts)

_Doomed = tuple[sa.Table, sa.Column[Any], sa.Select[Any]]


def _expired_tokens(table: sa.Table, now: datetime) -> _Doomed:
    old = table.c.expires_at < now - TOKENS_KEPT
    return table, table.c.id, sa.select(table.c.id).where(old).order_by(table.c.expires_at)


def _old_changes(now: datetime) -> _Doomed:
    c = email_changes.c
    old = c.revert_expires_at < now - TOKENS_KEPT
    return email_changes, c.id, sa.select(c.id).where(old).order_by(c.revert_expires_at)


def _past_holds(now: datetime) -> _Doomed:
    c = username_holds.c
    return username_holds, c.username, sa.select(c.username).where(c.held_until < now)


def _old_requests(now: datetime) -> _Doomed:
    c = mail_requests.c
    old = c.done_at < now - REQUESTS_KEPT
    return mail_requests, c.id, sa.select(c.id).where(old).order_by(c.done_at)


def _idle_sources(now: datetime) -> _Doomed:
    c = login_sources.c
    idle = c.touched_at < now - SOURCES_KEPT
    return login_sources, c.source, sa.select(c.source).where(idle).order_by(c.touched_at)


def _idle_counters(now: datetime) -> _Doomed:
    """Find counters that say nothing any more.

    Consecutive failures of an account are kept, those of a name nobody has for 90 days.
    """
    c = login_counters.c
    idle = sa.and_(
        c.touched_at < now - COUNTERS_KEPT,
        sa.or_(c.locked_until.is_(None), c.locked_until < now),
    )
    empty = sa.or_(
        c.consecutive == 0,
        c.key.startswith("device:"),
        sa.and_(c.key.startswith("name:"), c.touched_at < now - EXHAUSTED_KEPT),
    )
    return login_counters, c.key, sa.select(c.key).where(idle, empty).order_by(c.touched_at)


def _surplus_counters(_now: datetime) -> _Doomed:
    c = login_counters.c
    unowned = c.user_id.is_(None)
    surplus = sa.select(c.key).where(unowned).order_by(c.touched_at.desc())
    kept = sa.select(c.touched_at).where(unowned).order_by(c.touched_at.desc())
    oldest_kept = kept.offset(MAX_UNOWNED_COUNTERS - 1).limit(1).scalar_subquery()
    return login_counters, c.key, surplus.where(c.touched_at < oldest_kept)


def _old_by_id(table: sa.Table, now: datetime) -> _Doomed:
    """Find rows of a table whose ids are UUIDv7s."""
    old = table.c.id < first_id_at(now - HISTORY_KEPT)
    return table, table.c.id, sa.select(table.c.id).where(old).order_by(table.c.id)


_DOOMED: Mapping[str, Callable[[datetime], _Doomed]] = {
    "verifications": lambda now: _expired_tokens(email_verifications, now),
    "resets": lambda now: _expired_tokens(password_resets, now),
    "email_changes": _old_changes,
    "username_holds": _past_holds,
    "requests": _old_requests,
    "sources": _idle_sources,
    "counters": _idle_counters,
    "surplus_counters": _surplus_counters,
    "history": lambda now: _old_by_id(login_history, now),
    "failures": lambda now: _old_by_id(failed_login_attempts, now),
}
