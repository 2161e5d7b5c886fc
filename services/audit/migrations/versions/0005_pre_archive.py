"""Create the archive's index and keys, and the functions by which a partition leaves."""

from alembic import op

from chassis.migrations import app_role

revision = "0005"
down_revision = "0004"

_TABLES = (
    """
CREATE TABLE archive_objects (
    partition_name text NOT NULL
        CONSTRAINT fk_archive_objects_partition_name REFERENCES audit_partitions (name),
    number integer NOT NULL,
    name text NOT NULL,
    row_count integer NOT NULL,
    size bigint NOT NULL,
    sha256 bytea NOT NULL,
    first_received_at timestamptz NOT NULL,
    first_event_id uuid NOT NULL,
    last_received_at timestamptz NOT NULL,
    last_event_id uuid NOT NULL,
    types text[] NOT NULL,
    contents bytea NOT NULL,
    sequenced integer NOT NULL,
    first_leaf_index bigint,
    last_leaf_index bigint,
    CONSTRAINT pk_archive_objects PRIMARY KEY (partition_name, number),
    CONSTRAINT ck_archive_objects_filled CHECK (row_count > 0)
)
""",
    "CREATE INDEX ix_archive_objects_last_received_at ON archive_objects (last_received_at)",
    """
CREATE TABLE archive_person_keys (
    digest bytea CONSTRAINT pk_archive_person_keys PRIMARY KEY,
    key_id bytea NOT NULL CONSTRAINT uq_archive_person_keys_key_id UNIQUE,
    sealed text NOT NULL
)
""",
    """
CREATE TABLE archive_partition_keys (
    partition_name text CONSTRAINT pk_archive_partition_keys PRIMARY KEY
        CONSTRAINT fk_archive_partition_keys_partition_name REFERENCES audit_partitions (name),
    sealed text NOT NULL
)
""",
    "ALTER TABLE archive_manifests ADD COLUMN sequenced bigint DEFAULT 0 NOT NULL",
)

# Whatever erases a person, the key of the archives goes in the same transaction.
_FORGET = (
    """
CREATE FUNCTION forget_archive_key() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    DELETE FROM public.archive_person_keys WHERE digest = NEW.digest;
    RETURN NEW;
END
$body$
""",
    """
CREATE TRIGGER erased_persons_forget AFTER INSERT ON erased_persons
FOR EACH ROW EXECUTE FUNCTION forget_archive_key()
""",
    """
CREATE FUNCTION refuse_erased_person() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    IF EXISTS (SELECT FROM public.erased_persons AS e WHERE e.digest = NEW.digest) THEN
        RAISE EXCEPTION 'an erased person gets no key again'
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    RETURN NEW;
END
$body$
""",
    """
CREATE TRIGGER archive_person_keys_insert BEFORE INSERT ON archive_person_keys
FOR EACH ROW EXECUTE FUNCTION refuse_erased_person()
""",
)

# Manifests are written in the order of time, so that each follows from the one before it.
_REGISTER = """
CREATE FUNCTION register_archive(
    archived_partition text, stored_at text, counted_rows bigint, counted_leaves bigint,
    signed bytea
)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET lock_timeout = '3s'
AS $body$
DECLARE
    registered public.audit_partitions;
BEGIN
    PERFORM pg_advisory_xact_lock(1734440036, 1);
    SELECT * INTO registered FROM public.audit_partitions AS p
    WHERE p.name = archived_partition AND p.dropped_at IS NULL;
    IF NOT FOUND OR registered.ends_at > clock_timestamp() - interval '1 day' THEN
        RAISE EXCEPTION 'there is no partition of this name that was closed for a day'
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF EXISTS (
        SELECT FROM public.archive_manifests AS m
        WHERE m.partition_name = registered.name AND m.verified_at IS NOT NULL
    ) THEN
        RAISE EXCEPTION 'a verified manifest is not replaced'
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF EXISTS (
        SELECT FROM public.audit_partitions AS p
        LEFT JOIN public.archive_manifests AS m
            ON m.partition_name = p.name AND m.verified_at IS NOT NULL
        WHERE p.starts_at < registered.starts_at AND m.partition_name IS NULL
    ) THEN
        RAISE EXCEPTION 'an earlier partition has no verified manifest'
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF counted_rows IS DISTINCT FROM (
        SELECT coalesce(sum(o.row_count), 0) FROM public.archive_objects AS o
        WHERE o.partition_name = registered.name
    ) THEN
        RAISE EXCEPTION 'the manifest does not count the rows of its objects'
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    INSERT INTO public.archive_manifests
        (partition_name, location, row_count, sequenced, sha256, manifest, written_at)
    VALUES (registered.name, stored_at, counted_rows, counted_leaves, sha256(signed), signed,
        clock_timestamp())
    ON CONFLICT (partition_name) DO UPDATE SET
        location = excluded.location, row_count = excluded.row_count,
        sequenced = excluded.sequenced, sha256 = excluded.sha256, manifest = excluded.manifest,
        written_at = excluded.written_at;
END
$body$
"""

_CONFIRM = """
CREATE FUNCTION confirm_archive(archived_partition text, manifest_sha256 bytea)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    UPDATE public.archive_manifests AS m SET verified_at = clock_timestamp()
    WHERE m.partition_name = archived_partition AND m.sha256 = manifest_sha256
        AND m.verified_at IS NULL;
    RETURN FOUND;
END
$body$
"""

_DISCARD = """
CREATE FUNCTION discard_archive(archived_partition text)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '3s'
AS $body$
BEGIN
    PERFORM pg_advisory_xact_lock(1734440036, 1);
    IF NOT EXISTS (
        SELECT FROM public.audit_partitions AS p
        WHERE p.name = archived_partition AND p.dropped_at IS NULL
    ) OR EXISTS (
        SELECT FROM public.archive_manifests AS m
        WHERE m.partition_name = archived_partition AND m.verified_at IS NOT NULL
    ) THEN
        RETURN false;
    END IF;
    DELETE FROM public.archive_manifests AS m WHERE m.partition_name = archived_partition;
    DELETE FROM public.archive_objects AS o WHERE o.partition_name = archived_partition;
    RETURN true;
END
$body$
"""

# As before, and besides: a day must have passed, and rows that got their place in the tree after
# they were archived are archived anew.
_DROP = """
CREATE OR REPLACE FUNCTION drop_archived_partition(partition_name text)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET lock_timeout = '3s'
AS $body$
DECLARE
    registered public.audit_partitions;
    archived public.archive_manifests;
    found_rows bigint;
    found_leaves bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(1734440036, 1);
    SELECT * INTO registered FROM public.audit_partitions AS p
    WHERE p.name = partition_name AND p.dropped_at IS NULL;
    IF NOT FOUND OR registered.ends_at > clock_timestamp() - interval '1 day' THEN
        RAISE EXCEPTION 'there is no closed partition of this name'
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    SELECT * INTO archived FROM public.archive_manifests AS m
    WHERE m.partition_name = registered.name AND m.verified_at IS NOT NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the partition has no verified manifest'
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    EXECUTE format('LOCK TABLE public.%I IN SHARE MODE', 'audit_log_' || registered.name);
    EXECUTE format(
        'SELECT count(*), count(leaf_index) FROM public.%I', 'audit_log_' || registered.name
    ) INTO found_rows, found_leaves;
    IF found_rows <> archived.row_count OR found_leaves <> archived.sequenced THEN
        RAISE EXCEPTION 'the manifest does not count the rows of the partition'
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    EXECUTE format('DROP TABLE public.%I', 'audit_log_' || registered.name);
    EXECUTE format('DROP TABLE public.%I', 'audit_personal_' || registered.name);
    UPDATE public.audit_partitions AS p SET dropped_at = clock_timestamp()
    WHERE p.name = registered.name;
    RETURN found_rows;
END
$body$
"""

_FUNCTIONS = (
    "forget_archive_key()",
    "refuse_erased_person()",
    "register_archive(text, text, bigint, bigint, bytea)",
    "confirm_archive(text, bytea)",
    "discard_archive(text)",
    "drop_archived_partition(text)",
)

# The archiver is a task of the service, so the app role calls what lets a partition go; each
# function refuses until what it needs is there. Keys of persons go by erase_person alone.
_GRANTS = (
    "SELECT, INSERT ON archive_objects",
    "SELECT, INSERT, UPDATE (sealed) ON archive_person_keys",
    "SELECT, INSERT, DELETE, UPDATE (sealed) ON archive_partition_keys",
    "EXECUTE ON FUNCTION register_archive(text, text, bigint, bigint, bytea)",
    "EXECUTE ON FUNCTION confirm_archive(text, bytea)",
    "EXECUTE ON FUNCTION discard_archive(text)",
    "EXECUTE ON FUNCTION drop_archived_partition(text)",
)


def upgrade() -> None:
    for statement in (*_TABLES, *_FORGET, _REGISTER, _CONFIRM, _DISCARD, _DROP):
        op.execute(statement)
    for name in _FUNCTIONS:
        op.execute(f"REVOKE ALL ON FUNCTION {name} FROM PUBLIC")
    for grant in _GRANTS:
        op.execute(f"GRANT {grant} TO {app_role()}")
