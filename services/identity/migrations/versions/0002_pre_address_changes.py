"""Create changes of address and held usernames; remember since when an address is not proven."""

from alembic import op

from chassis.migrations import app_role

revision = "0002"
down_revision = "0001"

# Accounts that are unverified now begin to expire now: nobody is deleted by the migration's age.
_STATEMENTS = """
ALTER TABLE users ADD COLUMN unverified_since timestamptz;
UPDATE users SET unverified_since = now() WHERE NOT is_verified;
CREATE INDEX ix_users_unverified_since ON users (unverified_since)
    WHERE unverified_since IS NOT NULL;
CREATE TABLE email_changes (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    email text NOT NULL,
    email_folded text NOT NULL,
    previous_email text NOT NULL,
    previous_email_folded text NOT NULL,
    credentials_epoch integer NOT NULL,
    requested_at timestamptz NOT NULL,
    token_hash bytea,
    expires_at timestamptz NOT NULL,
    confirmed_at timestamptz,
    voided_at timestamptz,
    revert_hash bytea NOT NULL,
    revert_expires_at timestamptz NOT NULL,
    reverted_at timestamptz,
    revert_voided_at timestamptz,
    CONSTRAINT pk_email_changes PRIMARY KEY (id),
    CONSTRAINT fk_email_changes_user_id FOREIGN KEY (user_id)
        REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT uq_email_changes_token_hash UNIQUE (token_hash),
    CONSTRAINT uq_email_changes_revert_hash UNIQUE (revert_hash)
);
CREATE INDEX ix_email_changes_user_id ON email_changes (user_id, requested_at);
CREATE INDEX ix_email_changes_previous ON email_changes (previous_email_folded);
CREATE INDEX ix_email_changes_revert_expires_at ON email_changes (revert_expires_at);
CREATE TABLE username_holds (
    username text NOT NULL,
    held_until timestamptz NOT NULL,
    CONSTRAINT pk_username_holds PRIMARY KEY (username)
);
CREATE INDEX ix_username_holds_held_until ON username_holds (held_until);
GRANT SELECT, INSERT, UPDATE, DELETE ON email_changes, username_holds TO {app};
"""


def upgrade() -> None:
    for statement in _STATEMENTS.format(app=app_role()).split(";\n"):
        if statement.strip():
            op.execute(statement)
