"""The tables of notify's database."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from chassis.database import MOMENT
from chassis.database import metadata as new_metadata
from chassis.inbox import inbox_tables
from chassis.outbox import outbox_tables

metadata = new_metadata()
outbox = outbox_tables(metadata)
inbox = inbox_tables(metadata)


messages = sa.Table(
    "messages",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("source_id", sa.Uuid, nullable=False),
    sa.Column("source_type", sa.Text, nullable=False),
    sa.Column("template", sa.Text, nullable=False),
    sa.Column("user_id", sa.Uuid),
    sa.Column("recipient", sa.Text),
    sa.Column("recipient_name", sa.Text),
    sa.Column("facts", JSONB, nullable=False),
    sa.Column("sealed_token", sa.Text),
    sa.Column("expires_at", MOMENT),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("attempts", sa.Integer, nullable=False, server_default=sa.text("0")),
    sa.Column("next_attempt_at", MOMENT),
    sa.Column("leased_by", sa.Uuid),
    sa.Column("leased_until", MOMENT),
    sa.Column("created_at", MOMENT, nullable=False, server_default=sa.func.now()),
    sa.Column("settled_at", MOMENT),
    sa.Column("traceparent", sa.Text),
    sa.Column("actor", sa.Text),
    sa.UniqueConstraint("source_id", "template"),
    sa.CheckConstraint("state IN ('waiting', 'sent', 'failed', 'suppressed')", name="state"),
    sa.CheckConstraint("state = 'waiting' OR sealed_token IS NULL", name="settled_without_secret"),
    sa.CheckConstraint(
        "(state = 'waiting') = (next_attempt_at IS NOT NULL)", name="waiting_is_due"
    ),
)
sa.Index(
    "ix_messages_due",
    messages.c.next_attempt_at,
    postgresql_where=messages.c.state == "waiting",
)
sa.Index("ix_messages_user_id", messages.c.user_id)
sa.Index(
    "ix_messages_settled_at",
    messages.c.settled_at,
    postgresql_where=messages.c.settled_at.is_not(None),
)

recipients = sa.Table(
    "recipients",
    metadata,
    sa.Column("user_id", sa.Uuid, primary_key=True),
    sa.Column("email", sa.Text),
    sa.Column("username", sa.Text),
    sa.Column("version", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    sa.Column("welcomed_at", MOMENT),
    sa.Column("erased_at", MOMENT),
    sa.CheckConstraint(
        "erased_at IS NULL OR (email IS NULL AND username IS NULL)", name="erased_is_empty"
    ),
)

inbox_messages = sa.Table(
    "inbox_messages",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("seq", sa.BigInteger, sa.Identity(always=True), nullable=False, unique=True),
    sa.Column("recipient", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("html", sa.Text, nullable=False),
    sa.Column("received_at", MOMENT, nullable=False, server_default=sa.func.now()),
)
sa.Index("ix_inbox_messages_recipient", sa.func.lower(inbox_messages.c.recipient))
