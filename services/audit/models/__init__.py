"""How it is stored. Rights, functions, triggers and partitions stand in the migrations."""

from services.audit.models.archive import (
    ARCHIVE_MANIFESTS,
    ARCHIVE_OBJECTS,
    ARCHIVE_PARTITION_KEYS,
    ARCHIVE_PERSON_KEYS,
    AUDIT_PARTITIONS,
)
from services.audit.models.detection import (
    ACTIVITY_COUNTS,
    ALERTS,
    DETECTION_EVIDENCE,
    IP_BLOCKS,
    SUSPECT_SOURCES,
)
from services.audit.models.log import (
    AUDIT_LOG,
    AUDIT_PERSONAL,
    ERASED_PERSONS,
    PRODUCER_GAPS,
    PRODUCER_SEQUENCES,
)
from services.audit.models.schema import (
    INBOX,
    METADATA,
    OUTBOX,
)

__all__ = [
    "ACTIVITY_COUNTS",
    "ALERTS",
    "ARCHIVE_MANIFESTS",
    "ARCHIVE_OBJECTS",
    "ARCHIVE_PARTITION_KEYS",
    "ARCHIVE_PERSON_KEYS",
    "AUDIT_LOG",
    "AUDIT_PARTITIONS",
    "AUDIT_PERSONAL",
    "DETECTION_EVIDENCE",
    "ERASED_PERSONS",
    "INBOX",
    "IP_BLOCKS",
    "METADATA",
    "OUTBOX",
    "PRODUCER_GAPS",
    "PRODUCER_SEQUENCES",
    "SUSPECT_SOURCES",
]
