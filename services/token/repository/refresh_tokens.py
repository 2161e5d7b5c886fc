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
from chassis.outbox import Row
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A rotation: *spent* gives way to *successor*; see `claim` and `claim_unchanged`."""

    spent: bytes
    spent_by: bytes
    successor: bytes
    sealed_successor: str
    now: datetime
    expires_at: datetime
    client_address: str | None
    user_agent: str | None
    device: str | None
    refreshes_paid_until: datetime

    @property
    def parameters(self) -> tuple[Any, ...]:
        """Return the parameters of the statements that claim, in their order."""
        return (
            self.spent,
            self.spent_by,
            self.successor,
            self.sealed_successor,
            self.now,
            self.expires_at,
            self.client_address,
            self.user_agent,
            self.device,
            self.refreshes_paid_until,
        )


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

# Parameters 1 to 10 of whoever claims; {guard} may ask for more.
_CLAIMING = """
claimed AS (
    UPDATE refresh_tokens SET spent_at = $5, spent_by = $2, sealed_successor = $4
    WHERE hash = $1 AND spent_at IS NULL AND expires_at > $5 {guard}
    RETURNING session_id, generation
), successor AS (
    INSERT INTO refresh_tokens (hash, session_id, generation, created_at, expires_at)
    SELECT $3, session_id, generation + 1, $5, $6 FROM claimed
), wiped AS (
    UPDATE refresh_tokens old SET sealed_successor = NULL FROM claimed
    WHERE old.session_id = claimed.session_id AND old.generation = claimed.generation - 1
), used AS (
    UPDATE sessions SET last_used_at = $5, expires_at = $6,
        client_address = $7, user_agent = $8, device = $9, refreshes_paid_until = $10
    FROM claimed WHERE sessions.id = claimed.session_id
)"""

_CLAIM = f"WITH {_CLAIMING.format(guard='')} SELECT generation FROM claimed"  # noqa: S608 - as above

_FIND_FAMILY = f"""
SELECT s.*, {EPOCH} AS present_epoch, u.roles, u.roles_version, u.status, u.status_version,
    u.sessions_valid_from, u.checked_at
FROM refresh_tokens t
JOIN sessions s ON s.id = t.session_id
JOIN subjects u ON u.user_id = s.user_id
WHERE t.hash = $1
"""  # noqa: S608 - as above

# Each step reads the one before, so the locks are taken in the order of everybody. What waited for
# a lock is compared as it is then: whatever has changed in between leaves nothing to claim.
_CLAIM_UNCHANGED = f"""
WITH subject AS (
    SELECT user_id FROM subjects WHERE user_id = $11 AND roles_version = $12 AND status = $13
        AND status_version = $14 AND sessions_valid_from = $15
    FOR SHARE
), session AS (
    SELECT s.id FROM sessions s JOIN subject USING (user_id)
    WHERE s.id = $16 AND s.subject_version = $17 AND s.ended_at IS NULL
    FOR NO KEY UPDATE OF s
), {_CLAIMING.format(guard="AND session_id IN (SELECT id FROM session)")}, told AS (
    INSERT INTO outbox (event_id, exchange, routing_key, body, urgent)
    SELECT $18, $19, $20, $21::text::jsonb, false FROM claimed
)
SELECT generation FROM claimed
"""  # noqa: S608 - as above


async def lock_family(tx: Transaction, token_hash: bytes) -> Family | None:
    """Lock the subject (shared), then the session of a token; None for one nobody has."""
    found = await tx.fetch_row(_LOCK_SUBJECT, token_hash)
    if found is None:
        return None
    session = await tx.fetch_row(_LOCK_SESSION, found["session_id"])
    if session is None:
        return None
    return Family(subject_of(Named(found)), session_of(Named(session)), session["present_epoch"])


async def find_family(each: Statements, token_hash: bytes) -> Family | None:
    """Return the subject and the session of a token as they are, unlocked."""
    found = await each.fetch_row(_FIND_FAMILY, token_hash)
    if found is None:
        return None
    return Family(subject_of(Named(found)), session_of(Named(found)), found["present_epoch"])


async def claim_unchanged(
    each: Statements, family: Family, rotation: Claim, announcement: Row
) -> bool:
    """Claim as `claim` does and announce it, if *family* is still what it was when it was read.

    One statement, which is its own transaction; it takes the locks of `lock_family`.
    """
    subject, session = family.subject, family.session
    claimed = await each.fetch_row(
        _CLAIM_UNCHANGED,
        *rotation.parameters,
        subject.user_id,
        subject.roles_version,
        subject.status,
        subject.status_version,
        subject.sessions_valid_from,
        session.id,
        session.subject_version,
        *announcement,
    )
    return claimed is not None


async def claim(tx: Transaction, rotation: Claim) -> bool:
    """Spend a token and add its successor, if it is unspent and has not expired; say whether.

    The predecessor's sealed successor is wiped: it could only be replayed by a thief.
    """
    return await tx.fetch_row(_CLAIM, *rotation.parameters) is not None


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
