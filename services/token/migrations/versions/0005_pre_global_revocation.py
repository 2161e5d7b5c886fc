"""Let every session end at once, and let a session be refreshed only so often."""

from alembic import op

from chassis.migrations import app_role

revision = "0005"
down_revision = "0004"

_GLOBAL_REVOCATIONS = """
CREATE TABLE global_revocations (
    epoch integer CONSTRAINT pk_global_revocations PRIMARY KEY,
    revoked_at timestamptz NOT NULL,
    reason text NOT NULL,
    actor text
)
"""


def upgrade() -> None:
    op.execute(_GLOBAL_REVOCATIONS)
    op.execute(f"GRANT SELECT, INSERT, DELETE ON global_revocations TO {app_role()}")
    op.execute("ALTER TABLE sessions ADD COLUMN epoch integer DEFAULT 0 NOT NULL")
    op.execute("ALTER TABLE sessions ADD COLUMN refreshes_paid_until timestamptz")
    op.execute("CREATE INDEX ix_sessions_epoch ON sessions (epoch) WHERE ended_at IS NULL")
    # A page of a user's sessions is read in the order of their ids, however many there are.
    op.execute("CREATE INDEX ix_sessions_user_id_id ON sessions (user_id, id)")
    op.execute("DROP INDEX ix_sessions_user_id")
