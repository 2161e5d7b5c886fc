"""What a reader asks the log for, and where the next page begins."""

import base64
import binascii
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self
from uuid import UUID

READER_ROLES = frozenset({"admin", "moderator"})


def may_read(roles: AbstractSet[str]) -> bool:
    """Say whether somebody with *roles* may read the log of everybody."""
    return not READER_ROLES.isdisjoint(roles)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What entries must match, all of it; `person_id` keeps to one person's own share of each.

    `since` is the first moment that counts, `until` the first that does not (both of receipt);
    `ip` is an address or a network.
    """

    type: str | None = None
    actor: str | None = None
    target: str | None = None
    ip: str | None = None
    outcome: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    person_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last entry of a page: newer ones were shown, the next page begins behind it."""

    received_at: datetime
    event_id: UUID

    def encode(self) -> str:
        """Return the opaque text a caller hands back."""
        microseconds = int(self.received_at.timestamp()) * 10**6 + self.received_at.microsecond
        packed = microseconds.to_bytes(8, "big") + self.event_id.bytes
        return base64.urlsafe_b64encode(packed).decode()

    @classmethod
    def decode(cls, text: str) -> Self:
        """Read what `encode` wrote. Raises ValueError."""
        try:
            packed = base64.b64decode(text, altchars=b"-_", validate=True)
            seconds, microseconds = divmod(int.from_bytes(packed[:8], "big"), 10**6)
            moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=microseconds)
            return cls(moment, UUID(bytes=packed[8:]))
        except (binascii.Error, ValueError, OverflowError, OSError):
            raise ValueError("not a cursor of this log") from None
