"""Refresh tokens: the few statements of the hottest path, on the driver's own connection.

Everything happens under the locks subjects (shared) → session, taken in this order by two
statements: what is read in the second is what the first's waiting has made true.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chassis.database import Named, Statements, Transaction
from services.token.domain.grants import Grant
from services.token.domain.refresh import RefreshToken
from services.token.domain.sessions import Session
from services.token.domain.subjects import Subject
from services.token.models import refresh_tokens
from services.token.repository.epochs import EPOCH
from services.token.repository.sessions import session_of
from services.token.repository.subjects import subject_of

c = refresh_tokens.c


@dataclass(frozen=True, slots=True)
class Family:
    """What a presented refresh token belongs to, as it was in *epoch*."""

    subject: Subject
    session: Session
    epoch: int

    @property
    def grant(self) -> Grant:
        """Return what its tokens say."""
        return Grant.of(self.session, self.subject)


_LOCK_SUBJECT = """
SELECT u.*, t.session_id FROM refresh_tokens t
JOIN sessions s ON s.id = t.session_id
JOIN subjects u ON u.user_id = s.user_id
WHERE t.hash = $1
FOR SHARE OF u
"""

_LOCK_SESSION = f"""
SELECT *, {EPOCH} AS present_epoch FROM sessions WHERE id = $1 FOR NO KEY UPDATE
"""  # noqa: S608 - our own words


_FIND_FAMILY = f"""
SELECT s.*, {EPOCH} AS present_epoch, u.roles, u.roles_version, u.status, u.status_version,
    u.sessions_valid_from, u.checked_at
FROM refresh_tokens t
JOIN sessions s ON s.id = t.session_id
JOIN subjects u ON u.user_id = s.user_id
WHERE t.hash = $1
"""  # noqa: S608 - our own words


async def find_family(each: Statements, token_hash: bytes) -> Family | None:
    """Return what a token belongs to, without a lock; None for one nobody has."""
    found = await each.fetch_row(_FIND_FAMILY, token_hash)
    if found is None:
        return None
    named = Named(found)
    return Family(subject_of(named), session_of(named), named.present_epoch)


async def lock_family(tx: Transaction, token_hash: bytes) -> Family | None:
    """Lock the subject (shared), then the session of a token; None for one nobody has."""
    found = await tx.fetch_row(_LOCK_SUBJECT, token_hash)
    if found is None:
        return None
    session = await tx.fetch_row(_LOCK_SESSION, found["session_id"])
    if session is None:
        return None
    return Family(subject_of(Named(found)), session_of(Named(session)), session["present_epoch"])


async def find_token(tx: Transaction, token_hash: bytes) -> RefreshToken | None:
    """Return a token as it is now."""
    row = (await tx.execute(sa.select(refresh_tokens).where(c.hash == token_hash))).one_or_none()
    return _token_of(row) if row else None


async def delete_expired(tx: Transaction, *, now: datetime, limit: int) -> Sequence[UUID]:
    """Delete at most *limit* expired tokens; return the session of each.

    An expired token is refused like an unknown one, so nothing is forgotten with it.
    """
    old = (
        sa.select(c.hash)
        .where(c.expires_at <= now)
        .order_by(c.expires_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    deleted = sa.delete(refresh_tokens).where(c.hash.in_(old)).returning(c.session_id)
    return (await tx.execute(deleted)).scalars().all()


def _token_of(row: Any) -> RefreshToken:
    return RefreshToken(
        hash=row.hash,
        session_id=row.session_id,
        generation=row.generation,
        expires_at=row.expires_at,
        spent_at=row.spent_at,
        spent_by=row.spent_by,
        sealed_successor=row.sealed_successor,
    )
