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

from chassis.database import Statements, Transaction
from chassis.outbox import Row
from services.token.domain.grants import Grant
from services.token.repository.epochs import EPOCH


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
    RETURNING s.*, t.generation, least($6, s.absolute_expires_at) AS successor_expires_at
), successor AS (
    INSERT INTO refresh_tokens (hash, session_id, generation, created_at, expires_at)
    SELECT $3, id, generation + 1, $5, successor_expires_at FROM claimed
), wiped AS (
    UPDATE refresh_tokens old SET sealed_successor = NULL FROM claimed
    WHERE old.session_id = claimed.id AND old.generation = claimed.generation - 1
), used AS (
    UPDATE sessions SET last_used_at = $5, expires_at = successor_expires_at,
        client_address = $7, user_agent = $8, device = $9,
        refreshes_paid_until = greatest(refreshes_paid_until, $5) + make_interval(secs => $10)
    FROM claimed WHERE sessions.id = claimed.id
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
    SELECT t.session_id, u.roles, u.roles_version, u.sessions_valid_from
    FROM refresh_tokens t
    JOIN sessions s ON s.id = t.session_id
    JOIN subjects u ON u.user_id = s.user_id
    WHERE t.hash = $1 AND t.spent_at IS NULL
        AND u.checked_at >= $11 AND u.status NOT IN ('disabled', 'deleted')
    FOR SHARE OF u
), session AS (
    SELECT s.id, s.user_id, s.authenticated_at, s.amr, s.scope, s.absolute_expires_at,
        subject.roles, subject.roles_version
    FROM sessions s JOIN subject ON s.id = subject.session_id
    WHERE s.ended_at IS NULL AND least(s.expires_at, s.absolute_expires_at) > $5
        AND s.epoch >= {EPOCH} AND s.subject_version >= subject.sessions_valid_from
        AND (s.refreshes_paid_until IS NULL OR s.refreshes_paid_until <= $12)
        AND s.id = coalesce($13, s.id)
    FOR NO KEY UPDATE OF s
), {_CLAIMING}, told AS (
    INSERT INTO outbox (event_id, exchange, routing_key, body, urgent)
    SELECT $14, $15, $16, $17::text::jsonb || jsonb_build_object(
        'subject', user_id, 'actor', user_id,
        'data', jsonb_build_object('user_id', user_id, 'session_id', id)
    ), false
    FROM claimed
)
SELECT id, user_id, authenticated_at, amr, scope, absolute_expires_at, roles, roles_version
FROM claimed
"""  # noqa: S608 - our own words


async def claim_at_once(
    each: Statements, rotation: Claim, conditions: Conditions, announcement: Row
) -> Grant | None:
    """Claim as `claim` does, announce it, and return what the session gives.

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
    return Grant(
        session_id=found["id"],
        user_id=found["user_id"],
        authenticated_at=found["authenticated_at"],
        amr=tuple(found["amr"]),
        scope=found["scope"],
        absolute_expires_at=found["absolute_expires_at"],
        roles=frozenset(found["roles"]),
        roles_version=found["roles_version"],
    )


async def claim(tx: Transaction, rotation: Claim) -> bool:
    """Spend a token and add its successor, if it is unspent and has not expired; say whether.

    The session is locked. The predecessor's sealed successor is wiped: it could only be replayed
    by a thief.
    """
    return await tx.fetch_row(_CLAIM, *rotation.parameters) is not None
