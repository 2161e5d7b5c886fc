"""Create the log, its side table and their registers, outbox and inbox."""

from alembic import op

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


def upgrade() -> None:
    for statements in (_LOG, _PERSONAL, _REGISTER, _PRODUCERS, _OUTBOX, _INBOX):
        for statement in statements:
            op.execute(statement)
