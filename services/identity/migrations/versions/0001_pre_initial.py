"""Create accounts, roles, one-time tokens, counters of failures, histories, and the outbox."""

from alembic import op

from chassis.migrations import app_role

revision = "0001"
down_revision = None

_ACCOUNTS = """
CREATE TABLE users (
    id uuid NOT NULL,
    email text NOT NULL,
    email_folded text NOT NULL,
    username text NOT NULL,
    password_hash text NOT NULL,
    is_verified boolean DEFAULT false NOT NULL,
    is_locked boolean DEFAULT false NOT NULL,
    locked_until timestamptz,
    is_disabled boolean DEFAULT false NOT NULL,
    password_change_required boolean DEFAULT false NOT NULL,
    password_reset_required boolean DEFAULT false NOT NULL,
    credentials_epoch integer DEFAULT 0 NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    created_at timestamptz NOT NULL,
    last_login timestamptz,
    CONSTRAINT pk_users PRIMARY KEY (id),
    CONSTRAINT uq_users_email_folded UNIQUE (email_folded),
    CONSTRAINT uq_users_username UNIQUE (username)
);
CREATE INDEX ix_users_email_prefix ON users (email_folded text_pattern_ops);
CREATE INDEX ix_users_username_prefix ON users (username text_pattern_ops);
CREATE TABLE roles (
    name text NOT NULL,
    description text NOT NULL,
    CONSTRAINT pk_roles PRIMARY KEY (name)
);
CREATE TABLE user_roles (
    user_id uuid NOT NULL,
    role text NOT NULL,
    granted_at timestamptz NOT NULL,
    granted_by uuid,
    CONSTRAINT pk_user_roles PRIMARY KEY (user_id, role),
    CONSTRAINT fk_user_roles_user_id FOREIGN KEY (user_id)
        REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT fk_user_roles_role FOREIGN KEY (role)
        REFERENCES roles (name)
);
CREATE INDEX ix_user_roles_role ON user_roles (role);
"""

_TOKENS = """
CREATE TABLE email_verifications (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    token_hash bytea NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    voided_at timestamptz,
    CONSTRAINT pk_email_verifications PRIMARY KEY (id),
    CONSTRAINT fk_email_verifications_user_id FOREIGN KEY (user_id)
        REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT uq_email_verifications_token_hash UNIQUE (token_hash)
);
CREATE INDEX ix_email_verifications_expires_at ON email_verifications (expires_at);
CREATE INDEX ix_email_verifications_user_id ON email_verifications (user_id);
CREATE TABLE password_resets (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    token_hash bytea NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    voided_at timestamptz,
    CONSTRAINT pk_password_resets PRIMARY KEY (id),
    CONSTRAINT fk_password_resets_user_id FOREIGN KEY (user_id)
        REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT uq_password_resets_token_hash UNIQUE (token_hash)
);
CREATE INDEX ix_password_resets_expires_at ON password_resets (expires_at);
CREATE INDEX ix_password_resets_user_id ON password_resets (user_id);
CREATE TABLE mail_requests (
    id uuid NOT NULL,
    kind text NOT NULL,
    mailbox text,
    mailbox_key bytea NOT NULL,
    requested_at timestamptz NOT NULL,
    ip text,
    user_agent text,
    request_id text NOT NULL,
    traceparent text,
    done_at timestamptz,
    outcome text,
    CONSTRAINT pk_mail_requests PRIMARY KEY (id)
);
CREATE INDEX ix_mail_requests_done_at ON mail_requests (done_at);
CREATE INDEX ix_mail_requests_mailbox ON mail_requests (mailbox_key, done_at)
    WHERE outcome = 'mailed';
CREATE INDEX ix_mail_requests_waiting ON mail_requests (id) WHERE done_at IS NULL;
"""

_LOGINS = """
CREATE TABLE login_counters (
    key text NOT NULL,
    user_id uuid,
    failures integer DEFAULT 0 NOT NULL,
    consecutive integer DEFAULT 0 NOT NULL,
    pending uuid[] DEFAULT '{}' NOT NULL,
    locked_until timestamptz,
    touched_at timestamptz NOT NULL,
    CONSTRAINT pk_login_counters PRIMARY KEY (key)
);
CREATE INDEX ix_login_counters_touched_at ON login_counters (touched_at);
CREATE INDEX ix_login_counters_user_id ON login_counters (user_id);
CREATE TABLE login_sources (
    source text NOT NULL,
    failures uuid[] DEFAULT '{}' NOT NULL,
    pending uuid[] DEFAULT '{}' NOT NULL,
    touched_at timestamptz NOT NULL,
    CONSTRAINT pk_login_sources PRIMARY KEY (source)
);
CREATE INDEX ix_login_sources_touched_at ON login_sources (touched_at);
CREATE TABLE failed_login_attempts (
    id uuid NOT NULL,
    user_id uuid,
    name_hash text,
    attempted_at timestamptz NOT NULL,
    ip text,
    user_agent text,
    reason text NOT NULL,
    CONSTRAINT pk_failed_login_attempts PRIMARY KEY (id),
    CONSTRAINT fk_failed_login_attempts_user_id FOREIGN KEY (user_id)
        REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX ix_failed_login_attempts_user_id ON failed_login_attempts (user_id, id);
CREATE TABLE login_history (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    occurred_at timestamptz NOT NULL,
    ip text,
    user_agent text,
    outcome text NOT NULL,
    CONSTRAINT pk_login_history PRIMARY KEY (id),
    CONSTRAINT fk_login_history_user_id FOREIGN KEY (user_id)
        REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX ix_login_history_user_id ON login_history (user_id, id);
CREATE TABLE bootstrap_marker (
    id smallint NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_bootstrap_marker PRIMARY KEY (id),
    CONSTRAINT ck_bootstrap_marker_one_row CHECK (id = 1)
);
"""

_OUTBOX = """
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY,
    event_id uuid NOT NULL,
    exchange text NOT NULL,
    routing_key text NOT NULL,
    body jsonb NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    producerseq bigint,
    leased_by uuid,
    leased_until timestamptz,
    published_at timestamptz,
    attempts integer DEFAULT 0 NOT NULL,
    urgent boolean DEFAULT false NOT NULL,
    push_leased_until timestamptz,
    pushed_at timestamptz,
    push_attempts integer DEFAULT 0 NOT NULL,
    last_error text,
    CONSTRAINT pk_outbox PRIMARY KEY (id),
    CONSTRAINT uq_outbox_event_id UNIQUE (event_id),
    CONSTRAINT uq_outbox_producerseq UNIQUE (producerseq)
);
CREATE INDEX ix_outbox_published_at ON outbox (published_at) WHERE published_at IS NOT NULL;
CREATE INDEX ix_outbox_unpublished ON outbox (id) WHERE published_at IS NULL;
CREATE INDEX ix_outbox_unpushed ON outbox (id) WHERE urgent AND pushed_at IS NULL;
CREATE TABLE outbox_sequence (
    id smallint NOT NULL,
    value bigint NOT NULL,
    CONSTRAINT pk_outbox_sequence PRIMARY KEY (id),
    CONSTRAINT ck_outbox_sequence_one_row CHECK (id = 1)
);
"""

_ROLES = """
INSERT INTO roles (name, description) VALUES
    ('user', 'Everybody: owns a profile and sessions.'),
    ('moderator', 'Reads, locks and unlocks plain users.'),
    ('admin', 'Administers accounts, keys and the audit log.');
"""

_GRANTS = """
GRANT SELECT, INSERT, UPDATE, DELETE ON
    users, user_roles, email_verifications, password_resets, mail_requests, login_counters,
    login_sources, outbox TO {app};
GRANT SELECT, INSERT, DELETE ON failed_login_attempts, login_history TO {app};
GRANT SELECT, INSERT ON bootstrap_marker TO {app};
GRANT SELECT, INSERT, UPDATE ON outbox_sequence TO {app};
GRANT SELECT ON roles TO {app};
"""


def upgrade() -> None:
    app = app_role()
    for script in (_ACCOUNTS, _TOKENS, _LOGINS, _OUTBOX, _ROLES, _GRANTS):
        for statement in script.split(";\n"):
            if statement.strip():
                op.execute(statement.format(app=app) if script is _GRANTS else statement)
