"""The transactional inbox: every message has its effect once, or waits here for its next try."""

import hashlib
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID, uuid5

import sqlalchemy as sa

from chassis.database import MOMENT
from chassis.printable import printable
from contracts.envelope import CloudEvent

_UNREADABLE = UUID("6f0c2c1e-6f5e-5d6b-9d0a-0d6f3a1c7b52")
_UNREADABLE_LENGTH = 64 * 1024
_TEXT_LENGTH = 200


@dataclass(frozen=True, slots=True)
class InboxTables:
    """The table of one service's inbox, shared by all its queues."""

    inbox: sa.Table


def inbox_tables(metadata: sa.MetaData) -> InboxTables:
    """Declare the inbox in *metadata*; the service's own migrations create it.

    `body` is kept as long as the row is not `done`.
    """
    inbox = sa.Table(
        "inbox",
        metadata,
        sa.Column("queue", sa.Text, primary_key=True),
        sa.Column("message_id", sa.Uuid, primary_key=True),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("received_at", MOMENT, nullable=False, server_default=sa.func.now()),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("next_attempt_at", MOMENT),
        sa.Column("done_at", MOMENT),
        sa.Column("last_error", sa.Text),
        sa.Column("body", sa.LargeBinary),
        sa.CheckConstraint("state IN ('done', 'retry', 'dead')", name="state"),
    )
    state = inbox.c.state
    _index("ix_inbox_retry", (inbox.c.queue, inbox.c.next_attempt_at), state == "retry")
    _index("ix_inbox_done_at", (inbox.c.done_at,), state == "done")
    _index("ix_inbox_dead", (inbox.c.queue, inbox.c.received_at), state == "dead")
    return InboxTables(inbox)


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A message as the inbox keeps it; `attempts` have failed so far."""

    message_id: UUID
    type: str
    source: str
    body: bytes
    attempts: int = 0

    @classmethod
    def of(cls, event: CloudEvent, body: bytes) -> Self:
        """Return the letter of a readable event."""
        type_, source = column_text(event.type), column_text(event.source)
        return cls(message_id=event.id, type=type_, source=source, body=body)

    @classmethod
    def unreadable(cls, body: bytes) -> Self:
        """Return the letter of bytes that are no envelope: the same bytes are the same letter."""
        message_id = uuid5(_UNREADABLE, hashlib.sha256(body).hexdigest())
        kept = body[:_UNREADABLE_LENGTH]
        return cls(message_id=message_id, type="unreadable", source="unknown", body=kept)


def column_text(text: str) -> str:
    """Return *text* as the inbox's text columns keep what strangers wrote."""
    return printable(text, length=_TEXT_LENGTH)


def _index(name: str, columns: tuple[sa.Column[Any], ...], where: sa.ColumnElement[bool]) -> None:
    sa.Index(name, *columns, postgresql_where=where)
