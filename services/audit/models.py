"""How it is stored. Rights, functions, triggers and partitions stand in the migrations."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, CIDR, INET

from chassis.database import metadata
from chassis.inbox import inbox_tables
from chassis.outbox import outbox_tables

METADATA = metadata()
OUTBOX = outbox_tables(METADATA)
INBOX = inbox_tables(METADATA)


_MOMENT = sa.DateTime(timezone=True)

AUDIT_LOG = sa.Table(
    "audit_log",
    METADATA,
    sa.Column("received_at", _MOMENT, primary_key=True),
    sa.Column("event_id", sa.Uuid, primary_key=True),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("producerseq", sa.BigInteger),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("subject", sa.Text),
    sa.Column("occurred_at", _MOMENT, nullable=False),
    sa.Column("trace_id", sa.Text),
    sa.Column("leaf_bytes", sa.LargeBinary, nullable=False),
    sa.Column("leaf_index", sa.BigInteger),
    sa.CheckConstraint("outcome IN ('success', 'failure', 'denied')", name="outcome"),
    postgresql_partition_by="RANGE (received_at)",
)
"""One row per event. The tree's sequencer alone will set `leaf_index`, once, by a right of its own:
who writes rows must not choose their place in the tree."""

AUDIT_PERSONAL = sa.Table(
    "audit_personal",
    METADATA,
    sa.Column("received_at", _MOMENT, primary_key=True),
    sa.Column("event_id", sa.Uuid, primary_key=True),
    sa.Column("party", sa.Text, primary_key=True),
    sa.Column("person_id", sa.Uuid),
    sa.Column("salt", sa.LargeBinary, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("actor", sa.Text),
    sa.Column("target", sa.Text),
    sa.Column("session_id", sa.Uuid),
    sa.Column("ip", INET),
    sa.CheckConstraint("party IN ('subject', 'actor')", name="party"),
    postgresql_partition_by="RANGE (received_at)",
)
"""What each party's share of an event says, and the salt of its commitment. `body` is the exact
text committed to; the columns after it repeat parts of it for queries."""

_log, _personal = AUDIT_LOG.c, AUDIT_PERSONAL.c
sa.Index("ix_audit_log_event_id", _log.event_id)
sa.Index("ix_audit_log_type", _log.type, _log.received_at, _log.event_id)
sa.Index("ix_audit_log_source", _log.source, _log.producerseq)
sa.Index("ix_audit_log_subject", _log.subject, postgresql_where=_log.subject.is_not(None))
sa.Index(
    "ix_audit_log_outcome",
    _log.outcome,
    _log.received_at,
    _log.event_id,
    postgresql_where=_log.outcome != sa.text("'success'"),
)
sa.Index("ix_audit_personal_person_id", _personal.person_id)
sa.Index("ix_audit_personal_actor", _personal.actor, _personal.received_at)
sa.Index("ix_audit_personal_target", _personal.target, _personal.received_at)
sa.Index("ix_audit_personal_ip", _personal.ip, _personal.received_at)

ERASED_PERSONS = sa.Table(
    "erased_persons",
    METADATA,
    sa.Column("digest", sa.LargeBinary, primary_key=True),
    sa.Column("erased_at", _MOMENT, nullable=False, server_default=sa.func.now()),
)
"""SHA-256 of the ids of erased persons: what arrives late about them is not kept."""

AUDIT_PARTITIONS = sa.Table(
    "audit_partitions",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("starts_at", _MOMENT, nullable=False, unique=True),
    sa.Column("ends_at", _MOMENT, nullable=False, unique=True),
    sa.Column("created_at", _MOMENT, nullable=False, server_default=sa.func.now()),
    sa.Column("dropped_at", _MOMENT),
    sa.CheckConstraint("starts_at < ends_at", name="range"),
)
"""The partitions `ensure_partitions` made, by the name both tables share: `audit_log_<name>` and
`audit_personal_<name>`."""

ARCHIVE_MANIFESTS = sa.Table(
    "archive_manifests",
    METADATA,
    sa.Column("partition_name", sa.Text, primary_key=True),
    sa.Column("location", sa.Text, nullable=False),
    sa.Column("row_count", sa.BigInteger, nullable=False),
    sa.Column("sequenced", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    sa.Column("sha256", sa.LargeBinary, nullable=False),
    sa.Column("manifest", sa.LargeBinary, nullable=False),
    sa.Column("written_at", _MOMENT, nullable=False, server_default=sa.func.now()),
    sa.Column("verified_at", _MOMENT),
    sa.ForeignKeyConstraint(["partition_name"], ["audit_partitions.name"]),
)
"""What was archived: without a row here whose `verified_at` is set, no partition is dropped."""

ARCHIVE_OBJECTS = sa.Table(
    "archive_objects",
    METADATA,
    sa.Column("partition_name", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("row_count", sa.Integer, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.LargeBinary, nullable=False),
    sa.Column("first_received_at", _MOMENT, nullable=False),
    sa.Column("first_event_id", sa.Uuid, nullable=False),
    sa.Column("last_received_at", _MOMENT, nullable=False),
    sa.Column("last_event_id", sa.Uuid, nullable=False),
    sa.Column("types", ARRAY(sa.Text), nullable=False),
    sa.Column("contents", sa.LargeBinary, nullable=False),
    sa.Column("sequenced", sa.Integer, nullable=False),
    sa.Column("first_leaf_index", sa.BigInteger),
    sa.Column("last_leaf_index", sa.BigInteger),
    sa.ForeignKeyConstraint(["partition_name"], ["audit_partitions.name"]),
    sa.CheckConstraint("row_count > 0", name="filled"),
)
"""What stands where in the archive, a row per some thousand events. `contents` is a Bloom filter of
the ids of its events and of its persons' keys, `sequenced` how many rows have a leaf index."""

sa.Index("ix_archive_objects_last_received_at", ARCHIVE_OBJECTS.c.last_received_at)

ARCHIVE_PERSON_KEYS = sa.Table(
    "archive_person_keys",
    METADATA,
    sa.Column("digest", sa.LargeBinary, primary_key=True),
    sa.Column("key_id", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("sealed", sa.Text, nullable=False),
)
"""One key per person (SHA-256 of the id): what the archives hold of them opens with it alone."""

ARCHIVE_PARTITION_KEYS = sa.Table(
    "archive_partition_keys",
    METADATA,
    sa.Column("partition_name", sa.Text, primary_key=True),
    sa.Column("sealed", sa.Text, nullable=False),
    sa.ForeignKeyConstraint(["partition_name"], ["audit_partitions.name"]),
)
"""One key per archived partition: for what is personal and nobody's, and to find persons' keys."""

PRODUCER_SEQUENCES = sa.Table(
    "producer_sequences",
    METADATA,
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("seen_to", sa.BigInteger, nullable=False),
)
"""Up to which `producerseq` each source was looked at for gaps."""

PRODUCER_GAPS = sa.Table(
    "producer_gaps",
    METADATA,
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("first_missing", sa.BigInteger, primary_key=True),
    sa.Column("last_missing", sa.BigInteger, nullable=False),
    sa.Column("noticed_at", _MOMENT, nullable=False, server_default=sa.func.now()),
    sa.CheckConstraint("first_missing <= last_missing", name="range"),
)
"""Numbers below `seen_to` that no row of the log has."""

IP_BLOCKS = sa.Table(
    "ip_blocks",
    METADATA,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("cidr", CIDR, nullable=False, unique=True),
    sa.Column("cause", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("created_at", _MOMENT, nullable=False),
    sa.Column("expires_at", _MOMENT),
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
    sa.Column("occurred_at", _MOMENT, nullable=False),
    sa.Column("received_at", _MOMENT, nullable=False),
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
    sa.Column("first_seen", _MOMENT, nullable=False),
    sa.Column("last_seen", _MOMENT, nullable=False),
    sa.Column("noticed_at", _MOMENT, nullable=False, server_default=sa.func.now()),
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
    sa.Column("first_seen", _MOMENT, nullable=False),
    sa.Column("last_seen", _MOMENT, nullable=False),
    sa.Column("raised_at", _MOMENT, nullable=False),
    sa.Column("acknowledged_at", _MOMENT),
    sa.Column("acknowledged_by", sa.Uuid),
    sa.Column("closed_at", _MOMENT),
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
    sa.Column("hour", _MOMENT, primary_key=True),
    sa.Column("count", sa.BigInteger, nullable=False),
)
"""How many events of each counted type happened in an hour. Hours older than are shown one by one
are added up in the hour 1970-01-01 00:00 UTC."""

sa.Index("ix_activity_counts_hour", ACTIVITY_COUNTS.c.hour)
