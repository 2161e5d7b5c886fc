"""What audit tells others: attacks it saw, addresses it blocked, proofs it signed."""

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from contracts.envelope import EventData


class SuspiciousActivityDetected(EventData):
    """A pattern of attack, told once per incident.

    `user_id` is the account concerned, `address` the address or IPv6 /64 that is the cause, each
    None when there is not exactly one. The counts are those of the moment of its detection.
    """

    type: ClassVar[str] = "audit.suspicious_activity.detected.v1"
    alert_id: UUID
    rule: str
    user_id: UUID | None
    address: str | None
    severity: str = "high"
    attempts: int = 0
    accounts: int = 0
    addresses: int = 0


class AlertAcknowledged(EventData):
    """An administrator looks at the alert."""

    type: ClassVar[str] = "audit.alert.acknowledged.v1"
    alert_id: UUID


class AlertClosed(EventData):
    """An administrator has dealt with the alert."""

    type: ClassVar[str] = "audit.alert.closed.v1"
    alert_id: UUID


class IpBlocked(EventData):
    """Requests from `cidr` are refused until `expires_at` (None: until lifted).

    `cause` is admin or detection, `reason` the administrator's words or the rule's name.
    """

    type: ClassVar[str] = "audit.ip.blocked.v1"
    block_id: UUID
    cidr: str
    cause: str
    reason: str | None = None
    expires_at: datetime | None


class IpUnblocked(EventData):
    """The block was lifted or ran out."""

    type: ClassVar[str] = "audit.ip.unblocked.v1"
    block_id: UUID
    cidr: str


class CheckpointSigned(EventData):
    """The log's root was signed at this size."""

    type: ClassVar[str] = "audit.checkpoint.signed.v1"
    tree_size: int
    root_hash: str


class ArchiveCompleted(EventData):
    """A partition was archived, read back and verified."""

    type: ClassVar[str] = "audit.archive.completed.v1"
    partition: str
    rows: int


EVENTS: tuple[type[EventData], ...] = (
    SuspiciousActivityDetected,
    AlertAcknowledged,
    AlertClosed,
    IpBlocked,
    IpUnblocked,
    CheckpointSigned,
    ArchiveCompleted,
)
