"""Let signing keys be replaced before their time, and be revoked."""

from alembic import op

from chassis.migrations import app_role

revision = "0003"
down_revision = "0002"

_REVOKED = """
CREATE TABLE revoked_signing_keys (
    kid text CONSTRAINT pk_revoked_signing_keys PRIMARY KEY,
    algorithm text NOT NULL,
    published_at timestamptz NOT NULL,
    activated_at timestamptz,
    retired_at timestamptz,
    revoked_at timestamptz NOT NULL,
    successor text,
    reason text NOT NULL
)
"""


def upgrade() -> None:
    op.execute("ALTER TABLE signing_keys ADD COLUMN due_at timestamptz")
    op.execute(_REVOKED)
    op.execute(f"GRANT SELECT, INSERT, DELETE ON revoked_signing_keys TO {app_role()}")
