"""The partitions of the log, and what was archived of them."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from chassis.database import MOMENT
from services.audit.models.schema import METADATA

AUDIT_PARTITIONS = sa.Table(
    "audit_partitions",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("starts_at", MOMENT, nullable=False, unique=True),
    sa.Column("ends_at", MOMENT, nullable=False, unique=True),
    sa.Column("created_at", MOMENT, nullable=False, server_default=sa.func.now()),
    sa.Column("dropped_at", MOMENT),
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
    sa.Column("written_at", MOMENT, nullable=False, server_default=sa.func.now()),
    sa.Column("verified_at", MOMENT),
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
    sa.Column("first_received_at", MOMENT, nullable=False),
    sa.Column("first_event_id", sa.Uuid, nullable=False),
    sa.Column("last_received_at", MOMENT, nullable=False),
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
