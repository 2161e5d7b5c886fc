"""Where a session and its subject stand, read together; nothing is locked."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from chassis.database import Transaction
from services.token.domain.sessions import Session
from services.token.domain.subjects import Subject
from services.token.models import sessions, subjects
from services.token.repository.epochs import present_epoch
from services.token.repository.sessions import session_of
from services.token.repository.subjects import subject_of

# The user's id is the same in both, and the row has each name once.
_SUBJECT_COLUMNS = [column for column in subjects.c if column.name != "user_id"]
_FOUND = sa.select(sessions, *_SUBJECT_COLUMNS, present_epoch.label("present_epoch")).join(
    subjects, subjects.c.user_id == sessions.c.user_id
)


@dataclass(frozen=True, slots=True)
class Standing:
    """A session and whose it is."""

    session: Session
    subject: Subject
    epoch: int

    def is_alive(self, now: datetime) -> bool:
        """Say whether the session's tokens may still count."""
        in_time = self.session.epoch >= self.epoch
        permitted = self.subject.permits(self.session.subject_version)
        return in_time and permitted and self.session.is_live(now)


async def find_standing(tx: Transaction, session_id: UUID) -> Standing | None:
    """Return a session, ended or not, with its subject."""
    row = (await tx.execute(_FOUND.where(sessions.c.id == session_id))).one_or_none()
    return Standing(session_of(row), subject_of(row), row.present_epoch) if row else None
