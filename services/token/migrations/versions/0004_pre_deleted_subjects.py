"""Let what is known of deleted users be forgotten: by time, in batches, and of nobody else."""

from alembic import op

from chassis.migrations import app_role

revision = "0004"
down_revision = "0003"

# The app role still may not delete a subject: it may only ask for this.
_FORGET = """
CREATE FUNCTION forget_subjects(deleted_before timestamptz, at_most integer)
RETURNS bigint LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
    WITH old AS (
        SELECT s.user_id FROM public.subjects AS s
        WHERE s.deleted_at < deleted_before AND s.status = 'deleted'
            AND NOT EXISTS (SELECT FROM public.sessions AS of_it WHERE of_it.user_id = s.user_id)
        ORDER BY s.deleted_at LIMIT at_most
        FOR UPDATE SKIP LOCKED
    ), forgotten AS (
        DELETE FROM public.subjects AS s USING old WHERE s.user_id = old.user_id RETURNING 1
    )
    SELECT count(*) FROM forgotten
$body$
"""


def upgrade() -> None:
    op.execute("ALTER TABLE subjects ADD COLUMN deleted_at timestamptz")
    op.execute("UPDATE subjects SET deleted_at = now() WHERE status = 'deleted'")
    op.execute(
        "CREATE INDEX ix_subjects_deleted_at ON subjects (deleted_at) WHERE deleted_at IS NOT NULL"
    )
    op.execute(_FORGET)
    op.execute("REVOKE ALL ON FUNCTION forget_subjects(timestamptz, integer) FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION forget_subjects(timestamptz, integer) TO {app_role()}")
