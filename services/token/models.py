"""The tables of token's database."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from chassis.database import MOMENT
from chassis.database import metadata as new_metadata
from chassis.inbox import inbox_tables
from chassis.outbox import outbox_tables

metadata = new_metadata()
outbox = outbox_tables(metadata)
inbox = inbox_tables(metadata)


# Roles and status have a version each: an event tells one of them, and events may come in any
# order. `checked_at` is when identity last confirmed both.
subjects = sa.Table(
    "subjects",
    metadata,
    sa.Column("user_id", sa.Uuid, primary_key=True),
    sa.Column("roles", ARRAY(sa.Text), nullable=False),
    sa.Column("roles_version", sa.BigInteger, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("status_version", sa.BigInteger, nullable=False),
    sa.Column("sessions_valid_from", sa.BigInteger, nullable=False),
    sa.Column("checked_at", MOMENT),
    sa.Column("deleted_at", MOMENT),
    sa.CheckConstraint(
        "status IN ('active', 'unverified', 'locked', 'disabled', 'deleted')", name="status"
    ),
)
sa.Index(
    "ix_subjects_deleted_at",
    subjects.c.deleted_at,
    postgresql_where=subjects.c.deleted_at.is_not(None),
)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("user_id", sa.Uuid, sa.ForeignKey(subjects.c.user_id), nullable=False),
    sa.Column("subject_version", sa.BigInteger, nullable=False),
    sa.Column("amr", ARRAY(sa.Text), nullable=False),
    sa.Column("scope", sa.Text, nullable=False, server_default=""),
    sa.Column("authenticated_at", MOMENT, nullable=False),
    sa.Column("created_at", MOMENT, nullable=False),
    sa.Column("last_used_at", MOMENT, nullable=False),
    sa.Column("expires_at", MOMENT, nullable=False),
    sa.Column("absolute_expires_at", MOMENT, nullable=False),
    sa.Column("device", sa.Text),
    sa.Column("client_address", sa.Text),
    sa.Column("user_agent", sa.Text),
    sa.Column("ended_at", MOMENT),
    sa.Column("ended_reason", sa.Text),
    sa.Column("epoch", sa.Integer, nullable=False, server_default=sa.text("0")),
    sa.Column("refreshes_paid_until", MOMENT),
    sa.CheckConstraint("(ended_at IS NULL) = (ended_reason IS NULL)", name="ended_for_a_reason"),
)
sa.Index("ix_sessions_user_id_id", sessions.c.user_id, sessions.c.id)
sa.Index("ix_sessions_epoch", sessions.c.epoch, postgresql_where=sessions.c.ended_at.is_(None))
sa.Index(
    "ix_sessions_ended_at", sessions.c.ended_at, postgresql_where=sessions.c.ended_at.is_not(None)
)

# A session counts the global revocations before it; with one more behind it, it is dead.
global_revocations = sa.Table(
    "global_revocations",
    metadata,
    sa.Column("epoch", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("revoked_at", MOMENT, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("actor", sa.Text),
)

# One family per session; `generation` counts its members. A spent row keeps who spent it and, for
# the repeat of a lost answer, its successor sealed under a key derived from the spent token.
refresh_tokens = sa.Table(
    "refresh_tokens",
    metadata,
    sa.Column("hash", sa.LargeBinary, primary_key=True),
    sa.Column(
        "session_id", sa.Uuid, sa.ForeignKey(sessions.c.id, ondelete="CASCADE"), nullable=False
    ),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("created_at", MOMENT, nullable=False),
    sa.Column("expires_at", MOMENT, nullable=False),
    sa.Column("spent_at", MOMENT),
    sa.Column("spent_by", sa.LargeBinary),
    sa.Column("sealed_successor", sa.Text),
    sa.UniqueConstraint("session_id", "generation"),
    sa.CheckConstraint("spent_at IS NOT NULL OR sealed_successor IS NULL", name="successor_spent"),
)
sa.Index("ix_refresh_tokens_expires_at", refresh_tokens.c.expires_at)

revocations = sa.Table(
    "revocations",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("value", sa.Text, nullable=False),
    sa.Column("below_version", sa.BigInteger),
    sa.Column("revoked_until", MOMENT, nullable=False),
    sa.Column("created_at", MOMENT, nullable=False, server_default=sa.func.now()),
    sa.CheckConstraint("kind IN ('jti', 'sid', 'sub')", name="kind"),
    sa.CheckConstraint("(kind = 'sub') = (below_version IS NOT NULL)", name="sub_has_version"),
)
sa.Index("ix_revocations_created_at_id", revocations.c.created_at, revocations.c.id)
sa.Index("ix_revocations_revoked_until", revocations.c.revoked_until)
sa.Index("ix_revocations_value", revocations.c.value)

signing_keys = sa.Table(
    "signing_keys",
    metadata,
    sa.Column("kid", sa.Text, primary_key=True),
    sa.Column("algorithm", sa.Text, nullable=False),
    sa.Column("public_jwk", JSONB, nullable=False),
    sa.Column("sealed_private_key", sa.Text),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("published_at", MOMENT, nullable=False),
    sa.Column("activated_at", MOMENT),
    sa.Column("retired_at", MOMENT),
    sa.Column("due_at", MOMENT),
    sa.CheckConstraint("state IN ('published', 'active', 'retired')", name="state"),
    sa.CheckConstraint(
        "(state = 'retired') = (sealed_private_key IS NULL)", name="retired_has_no_private_key"
    ),
)
sa.Index(
    "uq_signing_keys_one_active",
    signing_keys.c.state,
    unique=True,
    postgresql_where=signing_keys.c.state == "active",
)

# Apart from the others: nothing that lists keys to verify with can come upon a revoked one.
revoked_signing_keys = sa.Table(
    "revoked_signing_keys",
    metadata,
    sa.Column("kid", sa.Text, primary_key=True),
    sa.Column("algorithm", sa.Text, nullable=False),
    sa.Column("published_at", MOMENT, nullable=False),
    sa.Column("activated_at", MOMENT),
    sa.Column("retired_at", MOMENT),
    sa.Column("revoked_at", MOMENT, nullable=False),
    sa.Column("successor", sa.Text),
    sa.Column("reason", sa.Text, nullable=False),
)
