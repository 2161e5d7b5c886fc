"""Guard the log, make partitions by functions of the owner, and say what the app role may do."""

from alembic import op

from chassis.migrations import app_role

revision = "0002"
down_revision = "0001"

# Not even the owner changes the log by accident. One change is foreseen: the place of a row in the
# tree, set once. Erasure deletes from the side table, so only changing is refused there.
_GUARDS = (
    """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    RAISE EXCEPTION '% on % is refused: rows of the audit log are kept as they are',
        TG_OP, TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$body$
""",
    """
CREATE FUNCTION allow_leaf_index_once() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    without_index record;
BEGIN
    without_index := NEW;
    without_index.leaf_index := NULL;
    IF OLD.leaf_index IS NULL AND without_index IS NOT DISTINCT FROM OLD THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'UPDATE on % is refused: rows of the audit log are kept as they are',
        TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$body$
""",
    """
CREATE TRIGGER audit_log_update BEFORE UPDATE ON audit_log
FOR EACH ROW EXECUTE FUNCTION allow_leaf_index_once()
""",
    """
CREATE TRIGGER audit_log_delete BEFORE DELETE ON audit_log
FOR EACH ROW EXECUTE FUNCTION refuse_change()
""",
    """
CREATE TRIGGER audit_log_truncate BEFORE TRUNCATE ON audit_log
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
""",
    """
CREATE TRIGGER audit_personal_update BEFORE UPDATE ON audit_personal
FOR EACH ROW EXECUTE FUNCTION refuse_change()
""",
    """
CREATE TRIGGER audit_personal_truncate BEFORE TRUNCATE ON audit_personal
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
""",
)

# A partition is made apart and attached: that lets inserts go on, where CREATE TABLE … PARTITION
# OF would lock the whole log. A period of which DEFAULT holds rows already stays in DEFAULT.
_ENSURE = """
CREATE FUNCTION ensure_partitions(unit text DEFAULT 'month', ahead integer DEFAULT 3)
RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET lock_timeout = '3s'
AS $body$
DECLARE
    step interval;
    starts timestamptz;
    stops timestamptz;
    last_start timestamptz;
    label text;
    parent text;
    made integer := 0;
BEGIN
    IF unit IS NULL OR unit NOT IN ('month', 'day') OR ahead IS NULL OR ahead NOT BETWEEN 0 AND 60
    THEN
        RAISE EXCEPTION 'unit is month or day, ahead is 0 to 60'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    step := ('1 ' || unit)::interval;
    last_start := date_trunc(unit, clock_timestamp()) + ahead * step;
    -- Nothing to do is the rule, and takes no lock.
    IF (SELECT max(ends_at) FROM public.audit_partitions) > last_start THEN
        RETURN 0;
    END IF;
    PERFORM pg_advisory_xact_lock(1734440036, 1);
    starts := greatest(
        date_trunc(unit, clock_timestamp()), (SELECT max(ends_at) FROM public.audit_partitions)
    );
    WHILE starts <= last_start LOOP
        stops := date_trunc(unit, starts) + step;
        IF NOT EXISTS (
            SELECT FROM public.audit_log_default
            WHERE received_at >= starts AND received_at < stops
        ) AND NOT EXISTS (
            SELECT FROM public.audit_personal_default
            WHERE received_at >= starts AND received_at < stops
        ) THEN
            label := to_char(starts, CASE unit WHEN 'month' THEN 'YYYYMM' ELSE 'YYYYMMDD' END);
            FOREACH parent IN ARRAY ARRAY['audit_log', 'audit_personal'] LOOP
                EXECUTE format(
                    'CREATE TABLE public.%I (LIKE public.%I INCLUDING DEFAULTS'
                    ' INCLUDING CONSTRAINTS)', parent || '_' || label, parent
                );
                EXECUTE format(
                    'ALTER TABLE public.%I ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                    parent, parent || '_' || label, starts, stops
                );
            END LOOP;
            INSERT INTO public.audit_partitions (name, starts_at, ends_at)
            VALUES (label, starts, stops);
            made := made + 1;
        END IF;
        starts := stops;
    END LOOP;
    RETURN made;
END
$body$
"""

_DROP = """
CREATE FUNCTION drop_archived_partition(partition_name text)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET lock_timeout = '3s'
AS $body$
DECLARE
    registered public.audit_partitions;
    archived public.archive_manifests;
    found_rows bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(1734440036, 1);
    SELECT * INTO registered FROM public.audit_partitions AS p
    WHERE p.name = partition_name AND p.dropped_at IS NULL;
    IF NOT FOUND OR registered.ends_at > clock_timestamp() THEN
        RAISE EXCEPTION 'there is no closed partition of this name'
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    SELECT * INTO archived FROM public.archive_manifests AS m
    WHERE m.partition_name = registered.name AND m.verified_at IS NOT NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the partition has no verified manifest'
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    EXECUTE format(
        'LOCK TABLE public.%I IN SHARE MODE', 'audit_log_' || registered.name
    );
    EXECUTE format(
        'SELECT count(*) FROM public.%I', 'audit_log_' || registered.name
    ) INTO found_rows;
    IF found_rows <> archived.row_count THEN
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

_ERASE = """
CREATE FUNCTION erase_person(person uuid)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    erased bigint;
BEGIN
    INSERT INTO public.erased_persons (digest)
    VALUES (sha256(convert_to(person::text, 'UTF8'))) ON CONFLICT DO NOTHING;
    DELETE FROM public.audit_personal WHERE person_id = person;
    GET DIAGNOSTICS erased = ROW_COUNT;
    RETURN erased;
END
$body$
"""

_FUNCTIONS = (
    "refuse_change()",
    "allow_leaf_index_once()",
    "ensure_partitions(text, integer)",
    "drop_archived_partition(text)",
    "erase_person(uuid)",
)

# What the app role may do. It adds to the log and reads it; it cannot set `leaf_index` (the
# sequencer's), write manifests or drop partitions (the archiver's, a role or grant of its own),
# and it deletes personal data by erase_person alone: all of one person, never a chosen row.
_LOG_COLUMNS = (
    "received_at, event_id, type, source, producerseq, outcome, subject, occurred_at, trace_id,"
    " leaf_bytes"
)
_GRANTS = (
    "SELECT ON audit_log",
    f"INSERT ({_LOG_COLUMNS}) ON audit_log",
    "SELECT, INSERT ON audit_personal",
    "SELECT ON erased_persons",
    "SELECT ON audit_partitions",
    "SELECT ON archive_manifests",
    "SELECT, INSERT, UPDATE ON producer_sequences",
    "SELECT, INSERT, UPDATE, DELETE ON producer_gaps",
    "SELECT, INSERT, UPDATE, DELETE ON outbox",
    "SELECT, INSERT, UPDATE ON outbox_sequence",
    "SELECT, INSERT, UPDATE, DELETE ON inbox",
    "EXECUTE ON FUNCTION ensure_partitions(text, integer)",
    "EXECUTE ON FUNCTION erase_person(uuid)",
)


def upgrade() -> None:
    for statement in (*_GUARDS, _ENSURE, _DROP, _ERASE):
        op.execute(statement)
    for name in _FUNCTIONS:
        op.execute(f"REVOKE ALL ON FUNCTION {name} FROM PUBLIC")
    for grant in _GRANTS:
        op.execute(f"GRANT {grant} TO {app_role()}")
