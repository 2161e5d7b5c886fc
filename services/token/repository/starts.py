"""The start of a session: subject, session, first token and event in one statement."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chassis.database import Named, Statements, Transaction
from chassis.outbox import Row
from services.token.domain.refresh import RefreshToken
from services.token.domain.sessions import Session
from services.token.domain.subjects import Subject
from services.token.repository.epochs import EPOCH
from services.token.repository.subjects import subject_of


@dataclass(frozen=True, slots=True)
class Room:
    """A subject and how many sessions of it have not ended, in this `version` of its row."""

    subject: Subject
    running: int
    version: str


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
        sessions_valid_from = $6, checked_at = $7
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

# FILTER: by a WHERE, PostgreSQL without statistics takes the index of all running sessions as well.
_FIND_ROOM = """
SELECT *, xmin::text AS version, (
    SELECT count(*) FILTER (WHERE s.ended_at IS NULL) FROM sessions s WHERE s.user_id = $1
) AS running
FROM subjects WHERE user_id = $1
"""

# Every start writes its subject: as long as the row is the one that was read, no session has begun.
_START_UNCHANGED = _STARTING.format(guard=f"AND xmin::text = $28 AND {EPOCH} = $27", epoch=EPOCH)


async def find_room(each: Statements, user_id: UUID) -> Room | None:
    """Return what is known of a user and how many sessions run; locks nothing."""
    found = await each.fetch_row(_FIND_ROOM, user_id)
    return found and Room(subject_of(Named(found)), found["running"], found["version"])


async def start_unchanged(each: Statements, start: Start, room: Room) -> bool:
    """Start as `start_session` does, if the row of the subject is still the one that was read.

    One statement, which is its own transaction. Also the epoch must be the session's.
    """
    return await each.fetch_row(_START_UNCHANGED, *start.parameters, room.version) is not None


async def start_session(tx: Transaction, start: Start) -> bool:
    """Write a locked subject back, and add its new session with the first token of the family.

    Says whether the session's epoch is still the present one: if not, it must not be committed.
    """
    started = await tx.fetch_row(_START, *start.parameters)
    return started is not None and started["in_time"]
