"""Create subjects, sessions, refresh tokens, revocations, signing keys, outbox and inbox."""

from alembic import op

from chassis.migrations import app_role

revision = "0001"
down_revision = None

_SUBJECTS = """
CREATE TABLE subjects (
    user_id uuid CONSTRAINT pk_subjects PRIMARY KEY,
    roles text[] NOT NULL,
    roles_version bigint NOT NULL,
    status text NOT NULL,
    status_version bigint NOT NULL,
    sessions_valid_from bigint NOT NULL,
    checked_at timestamptz,
    CONSTRAINT ck_subjects_status
        CHECK (status IN ('active', 'unverified', 'locked', 'disabled', 'deleted'))
);
"""

# A refresh updates its session and spends its token in place: room on the page keeps these
# updates out of the indexes.
_SESSIONS = """
CREATE TABLE sessions (
    id uuid CONSTRAINT pk_sessions PRIMARY KEY,
    user_id uuid NOT NULL
        CONSTRAINT fk_sessions_user_id REFERENCES subjects (user_id),
    subject_version bigint NOT NULL,
    amr text[] NOT NULL,
    scope text DEFAULT '' NOT NULL,
    authenticated_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    last_used_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    absolute_expires_at timestamptz NOT NULL,
    device text,
    client_address text,
    user_agent text,
    ended_at timestamptz,
    ended_reason text,
    CONSTRAINT ck_sessions_ended_for_a_reason
        CHECK ((ended_at IS NULL) = (ended_reason IS NULL))
) WITH (fillfactor = 80);
CREATE INDEX ix_sessions_user_id ON sessions (user_id);
CREATE INDEX ix_sessions_ended_at ON sessions (ended_at) WHERE ended_at IS NOT NULL;
"""

_REFRESH_TOKENS = """
CREATE TABLE refresh_tokens (
    hash bytea CONSTRAINT pk_refresh_tokens PRIMARY KEY,
    session_id uuid NOT NULL
        CONSTRAINT fk_refresh_tokens_session_id REFERENCES sessions (id) ON DELETE CASCADE,
    generation integer NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    spent_at timestamptz,
    spent_by bytea,
    sealed_successor text,
    CONSTRAINT uq_refresh_tokens_session_id_generation UNIQUE (session_id, generation),
    CONSTRAINT ck_refresh_tokens_successor_spent
        CHECK (spent_at IS NOT NULL OR sealed_successor IS NULL)
) WITH (fillfactor = 70);
CREATE INDEX ix_refresh_tokens_expires_at ON refresh_tokens (expires_at);
"""

_REVOCATIONS = """
CREATE TABLE revocations (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_revocations PRIMARY KEY,
    kind text NOT NULL,
    value text NOT NULL,
    below_version bigint,
    revoked_until timestamptz NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT ck_revocations_kind CHECK (kind IN ('jti', 'sid', 'sub')),
    CONSTRAINT ck_revocations_sub_has_version
        CHECK ((kind = 'sub') = (below_version IS NOT NULL))
);
CREATE INDEX ix_revocations_created_at_id ON revocations (created_at, id);
CREATE INDEX ix_revocations_revoked_until ON revocations (revoked_until);
"""

_SIGNING_KEYS = """
CREATE TABLE signing_keys (
    kid text CONSTRAINT pk_signing_keys PRIMARY KEY,
    algorithm text NOT NULL,
    public_jwk jsonb NOT NULL,
    sealed_private_key text,
    state text NOT NULL,
    published_at timestamptz NOT NULL,
    activated_at timestamptz,
    retired_at timestamptz,
    CONSTRAINT ck_signing_keys_state CHECK (state IN ('published', 'active', 'retired')),
    CONSTRAINT ck_signing_keys_retired_has_no_private_key
        CHECK ((state = 'retired') = (sealed_private_key IS NULL))
);
CREATE UNIQUE INDEX uq_signing_keys_one_active ON signing_keys (state) WHERE state = 'active';
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

_SCRIPTS = (
    _SUBJECTS,
    _SESSIONS,
    _REFRESH_TOKENS,
    _REVOCATIONS,
    _SIGNING_KEYS,
    _OUTBOX,
    _INBOX,
)

_GRANTS = (
    ("subjects", "SELECT, INSERT, UPDATE"),
    ("sessions", "SELECT, INSERT, UPDATE, DELETE"),
    ("refresh_tokens", "SELECT, INSERT, UPDATE, DELETE"),
    ("revocations", "SELECT, INSERT, DELETE"),
    ("signing_keys", "SELECT, INSERT, UPDATE, DELETE"),
    ("outbox", "SELECT, INSERT, UPDATE, DELETE"),
    ("outbox_sequence", "SELECT, INSERT, UPDATE"),
    ("inbox", "SELECT, INSERT, UPDATE, DELETE"),
)


def upgrade() -> None:
    for script in _SCRIPTS:
        for statement in script.split(";"):
            if statement.strip():
                op.execute(statement)
    role = app_role()
    for table, rights in _GRANTS:
        op.execute(f"GRANT {rights} ON {table} TO {role}")
