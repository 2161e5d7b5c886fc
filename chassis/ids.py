"""Identifiers that sort by the time they were made (RFC 9562 §5.7)."""

import secrets
from uuid import UUID

from chassis.clock import Clock

_VERSION_7 = 0x7
_VARIANT = 0b10


def uuid7(clock: Clock) -> UUID:
    """Return a UUIDv7: 48 bits of Unix milliseconds, then 74 random bits."""
    milliseconds = int(clock.now().timestamp() * 1000)
    value = (milliseconds & (1 << 48) - 1) << 80
    value |= _VERSION_7 << 76
    value |= secrets.randbits(12) << 64
    value |= _VARIANT << 62
    value |= secrets.randbits(62)
    return UUID(int=value)
