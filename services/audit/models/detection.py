"""What the detector counts and found, and the blocks that answer it."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, CIDR, INET

from chassis.database import MOMENT
from services.audit.models.schema import METADATA

IP_BLOCKS = sa.Table(
    "ip_blocks",
    METADATA,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("cidr", CIDR, nullable=False, unique=True),
    sa.Column("cause", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("created_at", MOMENT, nullable=False),
    sa.Column("expires_at", MOMENT),
    sa.Column("changed", sa.BigInteger, sa.Identity(always=True), nullable=False),
    sa.CheckConstraint("cause IN ('admin', 'detection')", name="cause"),
)
"""The blocks there are: one that ends is deleted, its history stands in the log. `changed` is a new
number whenever a row is written."""

sa.Index(
    "ix_ip_blocks_expires_at",
    IP_BLOCKS.c.expires_at,
    postgresql_where=IP_BLOCKS.c.expires_at.is_not(None),
)

DETECTION_EVIDENCE = sa.Table(
    "detection_evidence",
    METADATA,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("occurred_at", MOMENT, nullable=False),
    sa.Column("received_at", MOMENT, nullable=False),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("user_id", sa.Uuid),
    sa.Column("address", INET),
    sa.Column("source", CIDR),
    sa.Column("agent", sa.Text, nullable=False),
    sa.Column("judged", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.CheckConstraint(
        "kind IN ('failed', 'locked', 'entered', 'new_device', 'renewed', 'reused')", name="kind"
    ),
)
"""What the detector's rules count, for some hours. `judged` once the rules have seen a row."""

_evidence = DETECTION_EVIDENCE.c
sa.Index("ix_detection_evidence_unjudged", _evidence.id, postgresql_where=~_evidence.judged)
sa.Index("ix_detection_evidence_source", _evidence.source, _evidence.occurred_at)
sa.Index("ix_detection_evidence_account", _evidence.account, _evidence.occurred_at)
sa.Index(
    "ix_detection_evidence_entered",
    _evidence.account,
    _evidence.occurred_at,
    postgresql_where=_evidence.kind.in_(("entered", "new_device", "renewed")),
)
sa.Index(
    "ix_detection_evidence_user_id",
    _evidence.user_id,
    postgresql_where=_evidence.user_id.is_not(None),
)

SUSPECT_SOURCES = sa.Table(
    "suspect_sources",
    METADATA,
    sa.Column("source", CIDR, primary_key=True),
    sa.Column("agent", sa.Text, nullable=False),
    sa.Column("accounts", sa.BigInteger, nullable=False),
    sa.Column("failures", sa.BigInteger, nullable=False),
    sa.Column("first_seen", MOMENT, nullable=False),
    sa.Column("last_seen", MOMENT, nullable=False),
    sa.Column("noticed_at", MOMENT, nullable=False, server_default=sa.func.now()),
)
"""Sources that tried several accounts and hardly got in: alone too little, together a campaign."""

sa.Index("ix_suspect_sources_last_seen", SUSPECT_SOURCES.c.last_seen)
sa.Index("ix_suspect_sources_noticed_at", SUSPECT_SOURCES.c.noticed_at)

ALERTS = sa.Table(
    "alerts",
    METADATA,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("rule", sa.Text, nullable=False),
    sa.Column("severity", sa.Text, nullable=False),
    sa.Column("incident", sa.Text, nullable=False),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("user_id", sa.Uuid),
    sa.Column("address", CIDR),
    sa.Column("addresses", ARRAY(CIDR), nullable=False),
    sa.Column("address_count", sa.BigInteger, nullable=False),
    sa.Column("accounts", sa.BigInteger, nullable=False),
    sa.Column("attempts", sa.BigInteger, nullable=False),
    sa.Column("blocked", sa.BigInteger, nullable=False),
    sa.Column("first_seen", MOMENT, nullable=False),
    sa.Column("last_seen", MOMENT, nullable=False),
    sa.Column("raised_at", MOMENT, nullable=False),
    sa.Column("acknowledged_at", MOMENT),
    sa.Column("acknowledged_by", sa.Uuid),
    sa.Column("closed_at", MOMENT),
    sa.Column("closed_by", sa.Uuid),
    sa.UniqueConstraint("incident", "number"),
    sa.CheckConstraint("status IN ('open', 'acknowledged', 'closed')", name="status"),
    sa.CheckConstraint("severity IN ('medium', 'high', 'critical')", name="severity"),
)
"""One row per incident. `incident` says what is attacked or attacking, `number` for the how many-th
time: two detectors cannot tell the same incident twice."""

_alerts = ALERTS.c
sa.Index("ix_alerts_incident", _alerts.incident, _alerts.last_seen)
sa.Index("ix_alerts_raised_at", _alerts.raised_at)
sa.Index("ix_alerts_status", _alerts.status, _alerts.id)
sa.Index("ix_alerts_user_id", _alerts.user_id, postgresql_where=_alerts.user_id.is_not(None))

ACTIVITY_COUNTS = sa.Table(
    "activity_counts",
    METADATA,
    sa.Column("type", sa.Text, primary_key=True),
    sa.Column("hour", MOMENT, primary_key=True),
    sa.Column("count", sa.BigInteger, nullable=False),
)
"""How many events of each counted type happened in an hour. Hours older than are shown one by one
are added up in the hour 1970-01-01 00:00 UTC."""

sa.Index("ix_activity_counts_hour", ACTIVITY_COUNTS.c.hour)
