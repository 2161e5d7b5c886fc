"""Create the log, its side table, their partitions and guards, outbox and inbox."""

from alembic import op

from chassis.migrations import app_role

revision = "0001"
down_revision = None

_LOG = (
    """
CREATE TABLE audit_log (
    received_at timestamptz NOT NULL,
    event_id uuid NOT NULL,
    type text NOT NULL,
    source text NOT NULL,
    producerseq bigint,
    outcome text NOT NULL,
    subject text,
    occurred_at timestamptz NOT NULL,
    trace_id text,
    leaf_bytes bytea NOT NULL,
    leaf_index bigint,
    CONSTRAINT pk_audit_log PRIMARY KEY (received_at, event_id),
    CONSTRAINT ck_audit_log_outcome CHECK (outcome IN ('success', 'failure', 'denied'))
) PARTITION BY RANGE (received_at)
""",
    "CREATE TABLE audit_log_default PARTITION OF audit_log DEFAULT",
    "CREATE INDEX ix_audit_log_event_id ON audit_log (event_id)",
    "CREATE INDEX ix_audit_log_type ON audit_log (type, received_at, event_id)",
    "CREATE INDEX ix_audit_log_source ON audit_log (source, producerseq)",
    "CREATE INDEX ix_audit_log_subject ON audit_log (subject) WHERE subject IS NOT NULL",
)

_PERSONAL = (
    """
CREATE TABLE audit_personal (
    received_at timestamptz NOT NULL,
    event_id uuid NOT NULL,
    party text NOT NULL,
    person_id uuid,
    salt bytea NOT NULL,
    body bytea NOT NULL,
    actor text,
    target text,
    session_id uuid,
    ip inet,
    CONSTRAINT pk_audit_personal PRIMARY KEY (received_at, event_id, party),
    CONSTRAINT ck_audit_personal_party CHECK (party IN ('subject', 'actor'))
) PARTITION BY RANGE (received_at)
""",
    "CREATE TABLE audit_personal_default PARTITION OF audit_personal DEFAULT",
    "CREATE INDEX ix_audit_personal_person_id ON audit_personal (person_id)",
    "CREATE INDEX ix_audit_personal_actor ON audit_personal (actor, received_at)",
    "CREATE INDEX ix_audit_personal_target ON audit_personal (target, received_at)",
    "CREATE INDEX ix_audit_personal_ip ON audit_personal (ip, received_at)",
    """
CREATE TABLE erased_persons (
    digest bytea CONSTRAINT pk_erased_persons PRIMARY KEY,
    erased_at timestamptz DEFAULT now() NOT NULL
)
""",
)

_REGISTER = (
    """
CREATE TABLE audit_partitions (
    name text CONSTRAINT pk_audit_partitions PRIMARY KEY,
    starts_at timestamptz NOT NULL CONSTRAINT uq_audit_partitions_starts_at UNIQUE,
    ends_at timestamptz NOT NULL CONSTRAINT uq_audit_partitions_ends_at UNIQUE,
    created_at timestamptz DEFAULT now() NOT NULL,
    dropped_at timestamptz,
    CONSTRAINT ck_audit_partitions_range CHECK (starts_at < ends_at)
)
""",
    """
CREATE TABLE archive_manifests (
    partition_name text CONSTRAINT pk_archive_manifests PRIMARY KEY
        CONSTRAINT fk_archive_manifests_partition_name REFERENCES audit_partitions (name),
    location text NOT NULL,
    row_count bigint NOT NULL,
    sha256 bytea NOT NULL,
    manifest bytea NOT NULL,
    written_at timestamptz DEFAULT now() NOT NULL,
    verified_at timestamptz
)
""",
)

_PRODUCERS = (
    """
CREATE TABLE producer_sequences (
    source text CONSTRAINT pk_producer_sequences PRIMARY KEY,
    seen_to bigint NOT NULL
)
""",
    """
CREATE TABLE producer_gaps (
    source text NOT NULL,
    first_missing bigint NOT NULL,
    last_missing bigint NOT NULL,
    noticed_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_producer_gaps PRIMARY KEY (source, first_missing),
    CONSTRAINT ck_producer_gaps_range CHECK (first_missing <= last_missing)
)
""",
)

_OUTBOX = (
    """
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_outbox PRIMARY KEY,
    event_id uuid NOT NULL CONSTRAINT uq_outbox_event_id UNIQUE,
    exchange text NOT NULL,
    routing_key text NOT NULL,
    body jsonb NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    producerseq bigint CONSTRAINT uq_outbox_producerseq UNIQUE,
    leased_by uuid,
    leased_until timestamptz,
    published_at timestamptz,
    attempts integer DEFAULT 0 NOT NULL,
    urgent boolean DEFAULT false NOT NULL,
    push_leased_until timestamptz,
    pushed_at timestamptz,
    push_attempts integer DEFAULT 0 NOT NULL,
    last_error text
)
""",
    "CREATE INDEX ix_outbox_unpublished ON outbox (id) WHERE published_at IS NULL",
    "CREATE INDEX ix_outbox_unpushed ON outbox (id) WHERE urgent AND pushed_at IS NULL",
    "CREATE INDEX ix_outbox_published_at ON outbox (published_at) WHERE published_at IS NOT NULL",
    """
CREATE TABLE outbox_sequence (
    id smallint CONSTRAINT pk_outbox_sequence PRIMARY KEY,
    value bigint NOT NULL,
    CONSTRAINT ck_outbox_sequence_one_row CHECK (id = 1)
)
""",
)

_INBOX = (
    """
CREATE TABLE inbox (
    queue text NOT NULL,
    message_id uuid NOT NULL,
    type text NOT NULL,
    source text NOT NULL,
    received_at timestamptz DEFAULT now() NOT NULL,
    state text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    next_attempt_at timestamptz,
    done_at timestamptz,
    last_error text,
    body bytea,
    CONSTRAINT pk_inbox PRIMARY KEY (queue, message_id),
    CONSTRAINT ck_inbox_state CHECK (state IN ('done', 'retry', 'dead'))
)
""",
    "CREATE INDEX ix_inbox_retry ON inbox (queue, next_attempt_at) WHERE state = 'retry'",
    "CREATE INDEX ix_inbox_done_at ON inbox (done_at) WHERE state = 'done'",
    "CREATE INDEX ix_inbox_dead ON inbox (queue, received_at) WHERE state = 'dead'",
)

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
    PERFORM pg_advisory_xact_lock(1734440036, 1);
    step := ('1 ' || unit)::interval;
    last_start := date_trunc(unit, clock_timestamp()) + ahead * step;
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
    for statements in (_LOG, _PERSONAL, _REGISTER, _PRODUCERS, _OUTBOX, _INBOX, _GUARDS):
        for statement in statements:
            op.execute(statement)
    for function in (_ENSURE, _DROP, _ERASE):
        op.execute(function)
    for name in _FUNCTIONS:
        op.execute(f"REVOKE ALL ON FUNCTION {name} FROM PUBLIC")
    for grant in _GRANTS:
        op.execute(f"GRANT {grant} TO {app_role()}")
