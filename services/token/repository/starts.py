"""The start of a session: subject, session, first token and event in one statement."""

from chassis.database import Transaction
from chassis.outbox import Row
from services.token.domain.refresh import RefreshToken
from services.token.domain.sessions import Session
from services.token.domain.subjects import Subject
from services.token.repository.epochs import EPOCH

# On the driver's connection: every login waits for it.
_START = f"""
WITH subject AS (
    UPDATE subjects SET roles = $2, roles_version = $3, status = $4, status_version = $5,
        sessions_valid_from = $6, checked_at = $7
    WHERE user_id = $1
), session AS (
    INSERT INTO sessions (id, user_id, subject_version, amr, scope, authenticated_at, created_at,
        last_used_at, expires_at, absolute_expires_at, device, client_address, user_agent, epoch)
    VALUES ($8, $1, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $27)
), token AS (
    INSERT INTO refresh_tokens (hash, session_id, generation, created_at, expires_at)
    VALUES ($20, $8, $21, $13, $22)
), told AS (
    INSERT INTO outbox (event_id, exchange, routing_key, body, urgent)
    VALUES ($23, $24, $25, $26::text::jsonb, false)
)
SELECT {EPOCH} = $27 AS in_time
"""  # noqa: S608 - our own words


async def start_session(
    tx: Transaction, subject: Subject, session: Session, first: RefreshToken, announcement: Row
) -> bool:
    """Write a locked subject back, and add its new session with the first token of the family.

    Says whether the session's epoch is still the present one: if not, it must not be committed.
    """
    started = await tx.fetch_row(
        _START,
        subject.user_id,
        sorted(subject.roles),
        subject.roles_version,
        subject.status,
        subject.status_version,
        subject.sessions_valid_from,
        subject.checked_at,
        session.id,
        session.subject_version,
        list(session.amr),
        session.scope,
        session.authenticated_at,
        session.created_at,
        session.last_used_at,
        session.expires_at,
        session.absolute_expires_at,
        session.device,
        session.client_address,
        session.user_agent,
        first.hash,
        first.generation,
        first.expires_at,
        *announcement,
        session.epoch,
    )
    return started is not None and started["in_time"]
