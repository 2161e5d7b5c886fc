"""Find out by index whether one token or session is on the deny list, as introspection asks."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("CREATE INDEX ix_revocations_value ON revocations (value)")
