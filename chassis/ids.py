"""Identifiers that sort by the time they were made (RFC 9562 §5.7)."""

import secrets
from datetime import datetime
from uuid import UUID

from chassis.clock import Clock

_VERSION_7 = 0x7
_VARIANT = 0b10
_LOW_BITS = 62


def uuid7(clock: Clock) -> UUID:
    """Return a UUIDv7: 48 bits of Unix milliseconds, then 74 random bits."""
    return _uuid7(clock.now(), secrets.randbits(12 + _LOW_BITS))


def first_uuid7(moment: datetime) -> UUID:
    """Return the UUIDv7 before which none of *moment*'s millisecond sorts."""
    return _uuid7(moment, 0)


def _uuid7(moment: datetime, bits: int) -> UUID:
    milliseconds = int(moment.timestamp() * 1000) & (1 << 48) - 1
    high, low = divmod(bits, 1 << _LOW_BITS)
    fields = (milliseconds << 4 | _VERSION_7) << 12 | high
    return UUID(int=(fields << 2 | _VARIANT) << _LOW_BITS | low)
