"""What a session gives its user: the part of both that tokens are made of."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self
from uuid import UUID

from services.token.domain.sessions import Session
from services.token.domain.subjects import Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What the tokens of a session say; the roles are those its user has now."""

    session_id: UUID
    user_id: UUID
    authenticated_at: datetime
    amr: tuple[str, ...]
    scope: str
    absolute_expires_at: datetime
    roles: frozenset[str]
    roles_version: int

    @classmethod
    def of(cls, session: Session, subject: Subject) -> Self:
        """Return what *session* of *subject* gives."""
        return cls(
            session_id=session.id,
            user_id=session.user_id,
            authenticated_at=session.authenticated_at,
            amr=session.amr,
            scope=session.scope,
            absolute_expires_at=session.absolute_expires_at,
            roles=subject.roles,
            roles_version=subject.roles_version,
        )
