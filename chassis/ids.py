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
    high, low = divmod(secrets.randbits(12 + _LOW_BITS), 1 << _LOW_BITS)
    return UUID(int=first_uuid7(clock.now()).int | high << 64 | low)


def first_uuid7(moment: datetime) -> UUID:
    """Return the UUIDv7 before which none of *moment*'s millisecond sorts."""
    milliseconds = int(moment.timestamp() * 1000)
    value = (milliseconds & (1 << 48) - 1) << 80
    return UUID(int=value | _VERSION_7 << 76 | _VARIANT << 62)
