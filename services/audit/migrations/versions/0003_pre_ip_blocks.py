"""Create the IP blocks and say what the app role may do with them."""

from alembic import op

from chassis.migrations import app_role

revision = "0003"
down_revision = "0002"

# `changed` is a new number whenever a row is written: gateways ask whether any has changed.
_STATEMENTS = (
    """
CREATE TABLE ip_blocks (
    id uuid CONSTRAINT pk_ip_blocks PRIMARY KEY,
    cidr cidr NOT NULL CONSTRAINT uq_ip_blocks_cidr UNIQUE,
    cause text NOT NULL,
    reason text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    changed bigint GENERATED ALWAYS AS IDENTITY,
    CONSTRAINT ck_ip_blocks_cause CHECK (cause IN ('admin', 'detection'))
)
""",
    "CREATE INDEX ix_ip_blocks_expires_at ON ip_blocks (expires_at) WHERE expires_at IS NOT NULL",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ip_blocks TO {app_role()}")
