"""The development inbox: rendered mails, at most the newest thousand."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from chassis.database import Transaction
from services.notify.models import inbox_messages, messages

KEPT = 1000

_C = inbox_messages.c


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxMessage:
    """A mail as its reader sees it."""

    id: UUID
    recipient: str
    subject: str
    text: str = field(repr=False)
    html: str = field(repr=False)
    received_at: datetime


async def add(
    tx: Transaction, message_id: UUID, *, recipient: str, subject: str, text: str, html: str
) -> None:
    """Keep one mail, once, and let the oldest go when there are too many.

    Nothing is kept of a mail whose recipient was erased meanwhile; the lock keeps both in turn.
    """
    present = (messages.c.id == message_id) & messages.c.recipient.is_not(None)
    if await tx.scalar(sa.select(messages.c.id).where(present).with_for_update()) is None:
        return
    values = {
        "id": message_id,
        "recipient": recipient,
        "subject": subject,
        "text": text,
        "html": html,
    }
    await tx.execute(insert(inbox_messages).values(values).on_conflict_do_nothing())
    oldest_kept = sa.select(_C.seq).order_by(_C.seq.desc()).offset(KEPT - 1).limit(1)
    await tx.execute(sa.delete(inbox_messages).where(_C.seq < oldest_kept.scalar_subquery()))


async def list_newest(
    tx: Transaction, *, recipient: str | None = None, limit: int = KEPT
) -> Sequence[InboxMessage]:
    """Return the newest mails first, those to *recipient* (in any case of letters) if given."""
    statement = sa.select(inbox_messages).order_by(_C.seq.desc()).limit(limit)
    if recipient is not None:
        statement = statement.where(sa.func.lower(_C.recipient) == recipient.lower())
    return [
        InboxMessage(
            id=row.id,
            recipient=row.recipient,
            subject=row.subject,
            text=row.text,
            html=row.html,
            received_at=row.received_at,
        )
        for row in await tx.execute(statement)
    ]


async def erase_user(tx: Transaction, user_id: UUID) -> None:
    """Delete the mails that were written to this user."""
    his = sa.select(messages.c.id).where(messages.c.user_id == user_id)
    await tx.execute(sa.delete(inbox_messages).where(_C.id.in_(his)))
