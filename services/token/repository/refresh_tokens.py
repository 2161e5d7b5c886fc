"""Refresh tokens: the few statements of the hottest path, on the driver's own connection.

Everything happens under the locks subjects (shared) → session, taken in this order by two
statements: what is read in the second is what the first's waiting has made true.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import sqlalchemy as sa

from chassis.database import Transaction
from services.token.domain.refresh import RefreshToken
from services.token.domain.sessions import Session
from services.token.domain.subjects import Subject
from services.token.models import refresh_tokens
from services.token.repository.sessions import session_of
from services.token.repository.subjects import subject_of

c = refresh_tokens.c


@dataclass(frozen=True, slots=True)
class Family:
    """What a presented refresh token belongs to, locked until the transaction ends."""

    subject: Subject
    session: Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A rotation: *spent* gives way to *successor*; see `claim`."""

    spent: bytes
    spent_by: bytes
    successor: bytes
    sealed_successor: str
    now: datetime
    expires_at: datetime
    client_address: str | None
    user_agent: str | None
    device: str | None


_LOCK_SUBJECT = """
SELECT u.*, t.session_id FROM refresh_tokens t
JOIN sessions s ON s.id = t.session_id
JOIN subjects u ON u.user_id = s.user_id
WHERE t.hash = $1
FOR SHARE OF u
"""

_LOCK_SESSION = "SELECT * FROM sessions WHERE id = $1 FOR NO KEY UPDATE"

_CLAIM = """
WITH claimed AS (
    UPDATE refresh_tokens SET spent_at = $5, spent_by = $2, sealed_successor = $4
    WHERE hash = $1 AND spent_at IS NULL AND expires_at > $5
    RETURNING session_id, generation
), successor AS (
    INSERT INTO refresh_tokens (hash, session_id, generation, created_at, expires_at)
    SELECT $3, session_id, generation + 1, $5, $6 FROM claimed
), wiped AS (
    UPDATE refresh_tokens old SET sealed_successor = NULL FROM claimed
    WHERE old.session_id = claimed.session_id AND old.generation = claimed.generation - 1
), used AS (
    UPDATE sessions SET last_used_at = $5, expires_at = $6,
        client_address = $7, user_agent = $8, device = $9
    FROM claimed WHERE sessions.id = claimed.session_id
)
SELECT generation FROM claimed
"""


async def lock_family(tx: Transaction, token_hash: bytes) -> Family | None:
    """Lock the subject (shared), then the session of a token; None for one nobody has."""
    found = await tx.fetch_row(_LOCK_SUBJECT, token_hash)
    if found is None:
        return None
    session = await tx.fetch_row(_LOCK_SESSION, found["session_id"])
    if session is None:
        return None
    return Family(subject_of(_Named(found)), session_of(_Named(session)))


async def claim(tx: Transaction, rotation: Claim) -> bool:
    """Spend a token and add its successor, if it is unspent and has not expired; say whether.

    The predecessor's sealed successor is wiped: it could only be replayed by a thief.
    """
    claimed = await tx.fetch_row(
        _CLAIM,
        rotation.spent,
        rotation.spent_by,
        rotation.successor,
        rotation.sealed_successor,
        rotation.now,
        rotation.expires_at,
        rotation.client_address,
        rotation.user_agent,
        rotation.device,
    )
    return claimed is not None


async def find_token(tx: Transaction, token_hash: bytes) -> RefreshToken | None:
    """Return a token as it is now."""
    row = (await tx.execute(sa.select(refresh_tokens).where(c.hash == token_hash))).one_or_none()
    return _token_of(row) if row else None


async def add_token(tx: Transaction, token: RefreshToken, *, now: datetime) -> None:
    """Store the first token of a family."""
    values = {
        "hash": token.hash,
        "session_id": token.session_id,
        "generation": token.generation,
        "created_at": now,
        "expires_at": token.expires_at,
    }
    await tx.execute(sa.insert(refresh_tokens).values(values))


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


class _Named:
    """A driver's record whose columns are attributes, as those of SQLAlchemy's rows are."""

    def __init__(self, record: asyncpg.Record) -> None:
        self._record = record

    def __getattr__(self, name: str) -> Any:
        return self._record[name]


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
