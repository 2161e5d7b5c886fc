"""The queries and JSON bodies of notify's HTTP API."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, Field

from chassis.http import QueryModel, ResponseModel
from services.notify.domain.contents import masked
from services.notify.domain.messages import Message, State, Template


class LedgerQuery(QueryModel):
    """What to list; `cursor` is the `next_cursor` of the page before."""

    state: State | None = None
    template: Template | None = None
    user_id: UUID | None = None
    cursor: UUID | None = None
    limit: int = Field(default=50, ge=1, le=200)


class LedgerMessage(ResponseModel):
    """One mail of the ledger, its address masked, its text nowhere."""

    id: UUID
    template: Template
    user_id: UUID | None
    to: str | None
    state: State
    reason: str | None
    attempts: int
    next_attempt_at: datetime | None
    expires_at: datetime | None
    created_at: datetime
    settled_at: datetime | None

    @classmethod
    def of(cls, message: Message) -> Self:
        """Return *message* as administrators see it."""
        return cls(
            id=message.id,
            template=message.template,
            user_id=message.user_id,
            to=masked(message.recipient),
            state=message.state,
            reason=message.reason,
            attempts=message.attempts,
            next_attempt_at=message.next_attempt_at,
            expires_at=message.expires_at,
            created_at=message.created_at,
            settled_at=message.settled_at,
        )


class LedgerPage(ResponseModel):
    """One page of the ledger, newest first; without `next_cursor` it is the last."""

    items: tuple[LedgerMessage, ...]
    next_cursor: UUID | None


def _plus(text: str) -> str:
    """Undo what query strings do to an unencoded plus: no address holds a space."""
    return text.replace(" ", "+")


class InboxQuery(QueryModel):
    """Whose mails to list: everybody's without `to`."""

    to: Annotated[str, Field(max_length=320), AfterValidator(_plus)] | None = None


class InboxItem(ResponseModel):
    """One mail of the development inbox."""

    id: UUID
    to: str
    subject: str
    text: str
    html: str
    links: tuple[str, ...]
    received_at: datetime
