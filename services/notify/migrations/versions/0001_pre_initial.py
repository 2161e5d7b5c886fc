"""Create the mail ledger, the recipients, the development inbox, outbox and inbox."""

from alembic import op

from chassis.migrations import app_role

revision = "0001"
down_revision = None

_LEDGER = """
CREATE TABLE messages (
    id uuid CONSTRAINT pk_messages PRIMARY KEY,
    source_id uuid NOT NULL,
    source_type text NOT NULL,
    template text NOT NULL,
    user_id uuid,
    recipient text,
    recipient_name text,
    facts jsonb NOT NULL,
    sealed_token text,
    expires_at timestamptz,
    state text NOT NULL,
    reason text,
    attempts integer DEFAULT 0 NOT NULL,
    next_attempt_at timestamptz,
    leased_by uuid,
    leased_until timestamptz,
    created_at timestamptz DEFAULT now() NOT NULL,
    settled_at timestamptz,
    traceparent text,
    actor text,
    CONSTRAINT uq_messages_source_id_template UNIQUE (source_id, template),
    CONSTRAINT ck_messages_state CHECK (state IN ('waiting', 'sent', 'failed', 'suppressed')),
    CONSTRAINT ck_messages_settled_without_secret
        CHECK (state = 'waiting' OR sealed_token IS NULL),
    CONSTRAINT ck_messages_waiting_is_due
        CHECK ((state = 'waiting') = (next_attempt_at IS NOT NULL))
);
CREATE INDEX ix_messages_due ON messages (next_attempt_at) WHERE state = 'waiting';
CREATE INDEX ix_messages_user_id ON messages (user_id);
CREATE INDEX ix_messages_settled_at ON messages (settled_at) WHERE settled_at IS NOT NULL;
"""

_RECIPIENTS = """
CREATE TABLE recipients (
    user_id uuid CONSTRAINT pk_recipients PRIMARY KEY,
    email text,
    username text,
    version bigint DEFAULT 0 NOT NULL,
    welcomed_at timestamptz,
    erased_at timestamptz,
    CONSTRAINT ck_recipients_erased_is_empty
        CHECK (erased_at IS NULL OR (email IS NULL AND username IS NULL))
);
"""

_DEVELOPMENT_INBOX = """
CREATE TABLE inbox_messages (
    id uuid CONSTRAINT pk_inbox_messages PRIMARY KEY,
    seq bigint GENERATED ALWAYS AS IDENTITY NOT NULL
        CONSTRAINT uq_inbox_messages_seq UNIQUE,
    recipient text NOT NULL,
    subject text NOT NULL,
    text text NOT NULL,
    html text NOT NULL,
    received_at timestamptz DEFAULT now() NOT NULL
);
CREATE INDEX ix_inbox_messages_recipient ON inbox_messages (lower(recipient));
"""

_OUTBOX = """
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
);
CREATE INDEX ix_outbox_unpublished ON outbox (id) WHERE published_at IS NULL;
CREATE INDEX ix_outbox_unpushed ON outbox (id) WHERE urgent AND pushed_at IS NULL;
CREATE INDEX ix_outbox_published_at ON outbox (published_at) WHERE published_at IS NOT NULL;
CREATE TABLE outbox_sequence (
    id smallint CONSTRAINT pk_outbox_sequence PRIMARY KEY,
    value bigint NOT NULL,
    CONSTRAINT ck_outbox_sequence_one_row CHECK (id = 1)
);
"""

_INBOX = """
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
);
CREATE INDEX ix_inbox_retry ON inbox (queue, next_attempt_at) WHERE state = 'retry';
CREATE INDEX ix_inbox_done_at ON inbox (done_at) WHERE state = 'done';
CREATE INDEX ix_inbox_dead ON inbox (queue, received_at) WHERE state = 'dead';
"""

_GRANTS = (
    ("messages", "SELECT, INSERT, UPDATE, DELETE"),
    ("recipients", "SELECT, INSERT, UPDATE"),
    ("inbox_messages", "SELECT, INSERT, DELETE"),
    ("outbox", "SELECT, INSERT, UPDATE, DELETE"),
    ("outbox_sequence", "SELECT, INSERT, UPDATE"),
    ("inbox", "SELECT, INSERT, UPDATE, DELETE"),
)


def upgrade() -> None:
    for script in (_LEDGER, _RECIPIENTS, _DEVELOPMENT_INBOX, _OUTBOX, _INBOX):
        for statement in script.split(";"):
            if statement.strip():
                op.execute(statement)
    role = app_role()
    for table, rights in _GRANTS:
        op.execute(f"GRANT {rights} ON {table} TO {role}")
