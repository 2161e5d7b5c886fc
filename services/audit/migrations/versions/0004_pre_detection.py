"""Create what the detector counts, its alerts, and the hourly counts."""

from alembic import op

from chassis.migrations import app_role

revision = "0004"
down_revision = "0003"

_EVIDENCE = (
    """
CREATE TABLE detection_evidence (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_detection_evidence PRIMARY KEY,
    kind text NOT NULL,
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    account text NOT NULL,
    user_id uuid,
    address inet,
    source cidr,
    agent text NOT NULL,
    judged boolean DEFAULT false NOT NULL,
    CONSTRAINT ck_detection_evidence_kind CHECK (
        kind IN ('failed', 'locked', 'entered', 'new_device', 'renewed', 'reused')
    )
)
""",
    "CREATE INDEX ix_detection_evidence_unjudged ON detection_evidence (id) WHERE NOT judged",
    "CREATE INDEX ix_detection_evidence_source ON detection_evidence (source, occurred_at)",
    "CREATE INDEX ix_detection_evidence_account ON detection_evidence (account, occurred_at)",
    """
CREATE INDEX ix_detection_evidence_entered ON detection_evidence (account, occurred_at)
WHERE kind IN ('entered', 'new_device', 'renewed')
""",
    """
CREATE INDEX ix_detection_evidence_user_id ON detection_evidence (user_id)
WHERE user_id IS NOT NULL
""",
    """
CREATE TABLE suspect_sources (
    source cidr CONSTRAINT pk_suspect_sources PRIMARY KEY,
    agent text NOT NULL,
    accounts bigint NOT NULL,
    failures bigint NOT NULL,
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    noticed_at timestamptz DEFAULT now() NOT NULL
)
""",
    "CREATE INDEX ix_suspect_sources_last_seen ON suspect_sources (last_seen)",
    "CREATE INDEX ix_suspect_sources_noticed_at ON suspect_sources (noticed_at)",
)

# `number` counts the incidents of one kind and target: two detectors cannot raise the same one.
_ALERTS = (
    """
CREATE TABLE alerts (
    id uuid CONSTRAINT pk_alerts PRIMARY KEY,
    rule text NOT NULL,
    severity text NOT NULL,
    incident text NOT NULL,
    number bigint NOT NULL,
    status text NOT NULL,
    user_id uuid,
    address cidr,
    addresses cidr[] NOT NULL,
    address_count bigint NOT NULL,
    accounts bigint NOT NULL,
    attempts bigint NOT NULL,
    blocked bigint NOT NULL,
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    raised_at timestamptz NOT NULL,
    acknowledged_at timestamptz,
    acknowledged_by uuid,
    closed_at timestamptz,
    closed_by uuid,
    CONSTRAINT uq_alerts_incident_number UNIQUE (incident, number),
    CONSTRAINT ck_alerts_status CHECK (status IN ('open', 'acknowledged', 'closed')),
    CONSTRAINT ck_alerts_severity CHECK (severity IN ('medium', 'high', 'critical'))
)
""",
    "CREATE INDEX ix_alerts_incident ON alerts (incident, last_seen)",
    "CREATE INDEX ix_alerts_raised_at ON alerts (raised_at)",
    "CREATE INDEX ix_alerts_status ON alerts (status, id)",
    "CREATE INDEX ix_alerts_user_id ON alerts (user_id) WHERE user_id IS NOT NULL",
)

_COUNTS = (
    """
CREATE TABLE activity_counts (
    type text NOT NULL,
    hour timestamptz NOT NULL,
    count bigint NOT NULL,
    CONSTRAINT pk_activity_counts PRIMARY KEY (type, hour)
)
""",
    "CREATE INDEX ix_activity_counts_hour ON activity_counts (hour)",
    # What the log holds already counts too.
    """
INSERT INTO activity_counts (type, hour, count)
SELECT type, date_trunc('hour', least(occurred_at, received_at), 'UTC'), count(*)
FROM audit_log
WHERE type IN (
    'identity.login.succeeded.v1', 'identity.login.failed.v1', 'identity.user.locked.v1',
    'identity.user.registered.v1', 'identity.password.reset.v1', 'token.session.started.v1',
    'token.session.ended.v1', 'token.token.refreshed.v1', 'token.refresh_token.reused.v1',
    'audit.suspicious_activity.detected.v1', 'audit.ip.blocked.v1'
)
GROUP BY 1, 2
""",
)

_TABLES = ("detection_evidence", "suspect_sources", "alerts", "activity_counts")


def upgrade() -> None:
    for statement in (*_EVIDENCE, *_ALERTS, *_COUNTS):
        op.execute(statement)
    for table in _TABLES:
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {app_role()}")
