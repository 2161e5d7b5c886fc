"""The log, the personal data beside it, and which of its numbers are missing."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import INET

from chassis.database import MOMENT
from services.audit.models.schema import METADATA

AUDIT_LOG = sa.Table(
    "audit_log",
    METADATA,
    sa.Column("received_at", MOMENT, primary_key=True),
    sa.Column("event_id", sa.Uuid, primary_key=True),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("producerseq", sa.BigInteger),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("subject", sa.Text),
    sa.Column("occurred_at", MOMENT, nullable=False),
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
    sa.Column("received_at", MOMENT, primary_key=True),
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
    sa.Column("erased_at", MOMENT, nullable=False, server_default=sa.func.now()),
)
"""SHA-256 of the ids of erased persons: what arrives late about them is not kept."""

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
    sa.Column("noticed_at", MOMENT, nullable=False, server_default=sa.func.now()),
    sa.CheckConstraint("first_missing <= last_missing", name="range"),
)
"""Numbers below `seen_to` that no row of the log has."""
