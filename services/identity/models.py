"""The tables of identity. What is bounded by time says so; `repository/housekeeping.py` prunes."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from chassis.database import MOMENT
from chassis.database import metadata as new_metadata
from chassis.outbox import outbox_tables

metadata = new_metadata()
outbox = outbox_tables(metadata)


def _moment(name: str, *, nullable: bool = True) -> sa.Column[datetime]:
    return sa.Column(name, MOMENT, nullable=nullable)


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False, server_default=sa.false())


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False, server_default=sa.text("0"))


def _user_id(*, primary_key: bool = False, nullable: bool = False) -> sa.Column[UUID]:
    return sa.Column(
        "user_id",
        sa.Uuid,
        sa.ForeignKey("users.id", ondelete="CASCADE"),
        primary_key=primary_key,
        nullable=nullable,
    )


# `email_folded` and `username` (stored folded) are the unique ones. `is_locked` is an
# administrator's lock; `locked_until` repeats the end of a failure lock for readers, what decides
# is `login_counters`. `unverified_since` is set while the address is not proven: whoever has never
# logged in goes some weeks later.
users = sa.Table(
    "users",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("email", sa.Text, nullable=False),
    sa.Column("email_folded", sa.Text, nullable=False, unique=True),
    sa.Column("username", sa.Text, nullable=False, unique=True),
    sa.Column("password_hash", sa.Text, nullable=False),
    _flag("is_verified"),
    _flag("is_locked"),
    _moment("locked_until"),
    _flag("is_disabled"),
    _flag("password_change_required"),
    _flag("password_reset_required"),
    _count("credentials_epoch"),
    sa.Column("version", sa.BigInteger, nullable=False, server_default=sa.text("1")),
    _moment("created_at", nullable=False),
    _moment("last_login"),
    _moment("unverified_since"),
    sa.Index(
        "ix_users_unverified_since",
        "unverified_since",
        postgresql_where=sa.text("unverified_since IS NOT NULL"),
    ),
    sa.Index(
        "ix_users_email_prefix",
        "email_folded",
        postgresql_ops={"email_folded": "text_pattern_ops"},
    ),
    sa.Index(
        "ix_users_username_prefix", "username", postgresql_ops={"username": "text_pattern_ops"}
    ),
)

roles = sa.Table(
    "roles",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("description", sa.Text, nullable=False),
)

user_roles = sa.Table(
    "user_roles",
    metadata,
    _user_id(primary_key=True),
    sa.Column("role", sa.Text, sa.ForeignKey("roles.name"), primary_key=True),
    _moment("granted_at", nullable=False),
    sa.Column("granted_by", sa.Uuid),
    sa.Index("ix_user_roles_role", "role"),
)


def _one_time_tokens(name: str) -> sa.Table:
    return sa.Table(
        name,
        metadata,
        sa.Column("id", sa.Uuid, primary_key=True),
        _user_id(),
        sa.Column("token_hash", sa.LargeBinary, nullable=False, unique=True),
        _moment("created_at", nullable=False),
        _moment("expires_at", nullable=False),
        _moment("used_at"),
        _moment("voided_at"),
        sa.Index(f"ix_{name}_user_id", "user_id"),
        sa.Index(f"ix_{name}_expires_at", "expires_at"),
    )


# Rows go a week after they expired: a used or voided verification link is still known until then.
email_verifications = _one_time_tokens("email_verifications")
password_resets = _one_time_tokens("password_resets")

# One wish for another address: confirmed by the new one, taken back by the previous one. A live
# `revert_hash` holds the previous address for the account. Rows go a week after it expired.
email_changes = sa.Table(
    "email_changes",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    _user_id(),
    sa.Column("email", sa.Text, nullable=False),
    sa.Column("email_folded", sa.Text, nullable=False),
    sa.Column("previous_email", sa.Text, nullable=False),
    sa.Column("previous_email_folded", sa.Text, nullable=False),
    sa.Column("credentials_epoch", sa.Integer, nullable=False),
    _moment("requested_at", nullable=False),
    sa.Column("token_hash", sa.LargeBinary, unique=True),
    _moment("expires_at", nullable=False),
    _moment("confirmed_at"),
    _moment("voided_at"),
    sa.Column("revert_hash", sa.LargeBinary, nullable=False, unique=True),
    _moment("revert_expires_at", nullable=False),
    _moment("reverted_at"),
    _moment("revert_voided_at"),
    sa.Index("ix_email_changes_user_id", "user_id", "requested_at"),
    sa.Index("ix_email_changes_previous", "previous_email_folded"),
    sa.Index("ix_email_changes_revert_expires_at", "revert_expires_at"),
)

# Usernames nobody gets for a while: of registrations that were silently none (private mode).
username_holds = sa.Table(
    "username_holds",
    metadata,
    sa.Column("username", sa.Text, primary_key=True),
    _moment("held_until", nullable=False),
    sa.Index("ix_username_holds_held_until", "held_until"),
)

# Anybody's wish for a mail (D10). `mailbox` is emptied when it was dealt with, the row goes a day
# later; `mailbox_key` is an HMAC, to count by.
mail_requests = sa.Table(
    "mail_requests",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("mailbox", sa.Text),
    sa.Column("mailbox_key", sa.LargeBinary, nullable=False),
    _moment("requested_at", nullable=False),
    sa.Column("ip", sa.Text),
    sa.Column("user_agent", sa.Text),
    sa.Column("request_id", sa.Text, nullable=False),
    sa.Column("traceparent", sa.Text),
    _moment("done_at"),
    sa.Column("outcome", sa.Text),
    sa.Index("ix_mail_requests_waiting", "id", postgresql_where=sa.text("done_at IS NULL")),
    sa.Index(
        "ix_mail_requests_mailbox",
        "mailbox_key",
        "done_at",
        postgresql_where=sa.text("outcome = 'mailed'"),
    ),
    sa.Index("ix_mail_requests_done_at", "done_at"),
)

# `key` is `user:<id>`, `confirm:<id>` (the password repeated inside), `name:<hmac>` or
# `device:<id>`; `pending` holds UUIDv7s of reservations.
# Rows of unknown names and devices go when nothing touched them for long, and are capped.
login_counters = sa.Table(
    "login_counters",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("user_id", sa.Uuid),
    _count("failures"),
    _count("consecutive"),
    sa.Column("pending", ARRAY(sa.Uuid), nullable=False, server_default=sa.text("'{}'")),
    _moment("locked_until"),
    _moment("touched_at", nullable=False),
    sa.Index("ix_login_counters_user_id", "user_id"),
    sa.Index("ix_login_counters_touched_at", "touched_at"),
)

# Failures of the last 15 minutes as UUIDv7s, so that the window slides; at most the limit's many.
login_sources = sa.Table(
    "login_sources",
    metadata,
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("failures", ARRAY(sa.Uuid), nullable=False, server_default=sa.text("'{}'")),
    sa.Column("pending", ARRAY(sa.Uuid), nullable=False, server_default=sa.text("'{}'")),
    _moment("touched_at", nullable=False),
    sa.Index("ix_login_sources_touched_at", "touched_at"),
)

# The ids of both are UUIDv7s: the primary key is in order of time. Rows go after 90 days.
failed_login_attempts = sa.Table(
    "failed_login_attempts",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    _user_id(nullable=True),
    sa.Column("name_hash", sa.Text),
    _moment("attempted_at", nullable=False),
    sa.Column("ip", sa.Text),
    sa.Column("user_agent", sa.Text),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Index("ix_failed_login_attempts_user_id", "user_id", "id"),
)

login_history = sa.Table(
    "login_history",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    _user_id(),
    _moment("occurred_at", nullable=False),
    sa.Column("ip", sa.Text),
    sa.Column("user_agent", sa.Text),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Index("ix_login_history_user_id", "user_id", "id"),
)

# One row as soon as there has ever been an administrator.
bootstrap_marker = sa.Table(
    "bootstrap_marker",
    metadata,
    sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
    _moment("created_at", nullable=False),
    sa.CheckConstraint("id = 1", name="one_row"),
)
