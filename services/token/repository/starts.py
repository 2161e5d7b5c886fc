"""The start of a session: subject, session, first token and event in one statement."""

from dataclasses import dataclass
from typing import Any

from chassis.database import Statements, Transaction
from chassis.outbox import Row
from services.token.domain.refresh import RefreshToken
from services.token.domain.sessions import Session
from services.token.domain.subjects import Subject
from services.token.repository.epochs import EPOCH


@dataclass(frozen=True, slots=True)
class Start:
    """What is written when a session starts; the subject is written back."""

    subject: Subject
    session: Session
    first: RefreshToken
    announcement: Row

    @property
    def parameters(self) -> tuple[Any, ...]:
        """Return the parameters of the statements that start, in their order."""
        subject, session, first = self.subject, self.session, self.first
        return (
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
            *self.announcement,
            session.epoch,
        )


# On the driver's connection: every login waits for it. {guard} may ask for more.
_STARTING = """
WITH subject AS (
    UPDATE subjects SET roles = $2, roles_version = $3, status = $4, status_version = $5,
        sessions_valid_from = greatest(sessions_valid_from, $6), checked_at = $7
    WHERE user_id = $1 {guard}
    RETURNING user_id
), session AS (
    INSERT INTO sessions (id, user_id, subject_version, amr, scope, authenticated_at, created_at,
        last_used_at, expires_at, absolute_expires_at, device, client_address, user_agent, epoch)
    SELECT $8, user_id, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $27 FROM subject
), token AS (
    INSERT INTO refresh_tokens (hash, session_id, generation, created_at, expires_at)
    SELECT $20, $8, $21, $13, $22 FROM subject
), told AS (
    INSERT INTO outbox (event_id, exchange, routing_key, body, urgent)
    SELECT $23, $24, $25, $26::text::jsonb, false FROM subject
)
SELECT {epoch} = $27 AS in_time FROM subject
"""

_START = _STARTING.format(guard="", epoch=EPOCH)

# Nothing newer is known, and of no session that would have to end. Every start writes its subject:
# while the row is the one this statement sees, waited for or not, it sees every session as well.
# FILTER: by a WHERE, PostgreSQL without statistics takes the index of all running sessions as well.
_START_AT_ONCE = _STARTING.format(
    guard=f"""AND status <> 'deleted' AND sessions_valid_from <= $9
        AND roles_version <= $3 AND status_version <= $5
        AND xmin::text = (SELECT xmin::text FROM subjects WHERE user_id = $1)
        AND {EPOCH} = $27 AND ($28 = 0 OR $28 > (
            SELECT count(*) FILTER (WHERE s.ended_at IS NULL) FROM sessions s WHERE s.user_id = $1
        ))""",  # noqa: S608 - our own words
    epoch=EPOCH,
)


async def start_at_once(each: Statements, start: Start, *, max_sessions: int) -> bool:
    """Start as `start_session` does where the subject is known and nothing is in the way; say so.

    One statement, which is its own transaction. The subject is as identity has just confirmed it:
    nothing is done beside a row that is newer, deleted or bars the session, when *max_sessions*
    (0 for any number) run already, and in another epoch than the session's.
    """
    found = await each.fetch_row(_START_AT_ONCE, *start.parameters, max_sessions)
    return found is not None


async def start_session(tx: Transaction, start: Start) -> bool:
    """Write a locked subject back, and add its new session with the first token of the family.

    Says whether the session's epoch is still the present one: if not, it must not be committed.
    """
    started = await tx.fetch_row(_START, *start.parameters)
    return started is not None and started["in_time"]
