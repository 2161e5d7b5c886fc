"""The rotation of a refresh token: claimed, moved on and announced in one statement.

Where nothing is amiss one statement does all of it, and is its own transaction. It takes the locks
of `refresh_tokens.lock_family` in the same order, since each step reads the one before; what waited
for a lock is judged as it is then. It judges as `domain` does, and tests hold the two together:
whatever it refuses is looked at again, in a transaction and by the domain's rules.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from chassis.database import Named, Statements, Transaction
from chassis.outbox import Row
from services.token.repository.epochs import EPOCH
from services.token.repository.refresh_tokens import Family
from services.token.repository.sessions import session_of
from services.token.repository.subjects import subject_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A rotation: *spent* gives way to *successor*, which lives until *idle_end* at most.

    *charge* is what it costs of the session's allowance.
    """

    spent: bytes
    spent_by: bytes
    successor: bytes
    sealed_successor: str
    now: datetime
    idle_end: datetime
    client_address: str | None
    user_agent: str | None
    device: str | None
    charge: timedelta

    @property
    def parameters(self) -> tuple[Any, ...]:
        """Return the parameters of the statements that claim, in their order."""
        return (
            self.spent,
            self.spent_by,
            self.successor,
            self.sealed_successor,
            self.now,
            self.idle_end,
            self.client_address,
            self.user_agent,
            self.device,
            self.charge.total_seconds(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What must be so for a rotation at once.

    Identity confirmed the subject at *checked_since* or later; the allowance is whole again at
    *paid_by* or earlier; the session is *proven_sid*, if one was proven.
    """

    checked_since: datetime
    paid_by: datetime
    proven_sid: UUID | None


# Parameters 1 to 10 of whoever claims, from a `session` that is locked.
_CLAIMING = """
claimed AS (
    UPDATE refresh_tokens t SET spent_at = $5, spent_by = $2, sealed_successor = $4
    FROM session s
    WHERE t.hash = $1 AND t.session_id = s.id AND t.spent_at IS NULL AND t.expires_at > $5
    RETURNING t.session_id, t.generation, least($6, s.absolute_expires_at) AS successor_expires_at
), successor AS (
    INSERT INTO refresh_tokens (hash, session_id, generation, created_at, expires_at)
    SELECT $3, session_id, generation + 1, $5, successor_expires_at FROM claimed
), wiped AS (
    UPDATE refresh_tokens old SET sealed_successor = NULL FROM claimed
    WHERE old.session_id = claimed.session_id AND old.generation = claimed.generation - 1
), used AS (
    UPDATE sessions SET last_used_at = $5, expires_at = successor_expires_at,
        client_address = $7, user_agent = $8, device = $9,
        refreshes_paid_until = greatest(refreshes_paid_until, $5) + make_interval(secs => $10)
    FROM claimed WHERE sessions.id = claimed.session_id
)"""

_CLAIM = f"""
WITH session AS (
    SELECT s.id, s.absolute_expires_at FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id
    WHERE t.hash = $1
), {_CLAIMING}
SELECT generation FROM claimed
"""  # noqa: S608 - our own words

_CLAIM_AT_ONCE = f"""
WITH subject AS (
    SELECT t.session_id, u.roles, u.roles_version, u.status, u.status_version,
        u.sessions_valid_from, u.checked_at
    FROM refresh_tokens t
    JOIN sessions s ON s.id = t.session_id
    JOIN subjects u ON u.user_id = s.user_id
    WHERE t.hash = $1 AND t.spent_at IS NULL
        AND u.checked_at >= $11 AND u.status NOT IN ('disabled', 'deleted')
    FOR SHARE OF u
), session AS (
    SELECT s.*, {EPOCH} AS present_epoch, subject.roles, subject.roles_version, subject.status,
        subject.status_version, subject.sessions_valid_from, subject.checked_at
    FROM sessions s JOIN subject ON s.id = subject.session_id
    WHERE s.ended_at IS NULL AND least(s.expires_at, s.absolute_expires_at) > $5
        AND s.epoch >= {EPOCH} AND s.subject_version >= subject.sessions_valid_from
        AND (s.refreshes_paid_until IS NULL OR s.refreshes_paid_until <= $12)
        AND s.id = coalesce($13, s.id)
    FOR NO KEY UPDATE OF s
), {_CLAIMING}, told AS (
    INSERT INTO outbox (event_id, exchange, routing_key, body, urgent)
    SELECT $14, $15, $16, $17::text::jsonb || jsonb_build_object(
        'subject', s.user_id, 'actor', s.user_id,
        'data', jsonb_build_object('user_id', s.user_id, 'session_id', s.id)
    ), false
    FROM claimed JOIN session s ON s.id = claimed.session_id
)
SELECT session.* FROM session JOIN claimed ON claimed.session_id = session.id
"""  # noqa: S608 - our own words


async def claim_at_once(
    each: Statements, rotation: Claim, conditions: Conditions, announcement: Row
) -> Family | None:
    """Claim as `claim` does, announce it, and return the family as it was before.

    None, and nothing done, unless the family is alive and the conditions are met. The body of
    *announcement* gets its subject, actor and data here.
    """
    found = await each.fetch_row(
        _CLAIM_AT_ONCE,
        *rotation.parameters,
        conditions.checked_since,
        conditions.paid_by,
        conditions.proven_sid,
        *announcement,
    )
    if found is None:
        return None
    named = Named(found)
    return Family(subject_of(named), session_of(named), found["present_epoch"])


async def claim(tx: Transaction, rotation: Claim) -> bool:
    """Spend a token and add its successor, if it is unspent and has not expired; say whether.

    The session is locked. The predecessor's sealed successor is wiped: it could only be replayed
    by a thief.
    """
    return await tx.fetch_row(_CLAIM, *rotation.parameters) is not None
