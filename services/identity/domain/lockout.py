"""Guessing: who is counted, how many failures are allowed, and what a full counter means (D6).

Every attempt reserves a slot before its password is hashed, so that parallel guesses cannot pass
the limit. A reservation nobody settled within RESERVATION_LIFE counts as a failure.
"""

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil
from uuid import UUID

RESERVATION_LIFE = timedelta(seconds=30)
MAX_CONSECUTIVE_FAILURES = 100
"""Failures without a success after which only a reset helps (NIST SP 800-63B-4 §3.2.2)."""

LOGINS = "user"
CONFIRMATIONS = "confirm"
"""What the key of a counter begins with: an account's logins, and its password repeated inside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How often one may fail: per account (then locked), and per source and window."""

    max_attempts: int
    lockout: timedelta
    max_per_source: int
    source_window: timedelta = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """The failures of one account, unknown name or known device.

    `failures` count towards the next lock, `consecutive` since the last success, `pending` are
    attempts being verified now.
    """

    failures: int
    consecutive: int
    pending: int
    locked_until: datetime | None

    @property
    def is_exhausted(self) -> bool:
        """Say whether only a reset lets anybody in again."""
        return self.consecutive >= MAX_CONSECUTIVE_FAILURES

    def locked_for(self, now: datetime, limits: Limits) -> timedelta | None:
        """Return how long nothing is verified from *now* on, or None when it is not locked."""
        if self.is_exhausted:
            return limits.lockout
        if self.locked_until is not None and self.locked_until > now:
            return self.locked_until - now
        return None


def source_of(address: str | None) -> str | None:
    """Return whom failures from *address* are counted for: an IPv4 address or an IPv6 /64.

    None when there is no address to count.
    """
    try:
        parsed = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def whole_seconds(wait: timedelta) -> int:
    """Return *wait* for a Retry-After header: rounded up, at least 1."""
    return max(1, ceil(wait.total_seconds()))


def moment_of(attempt_id: UUID) -> datetime:
    """Return when a UUIDv7 was made (RFC 9562 §5.7), to the millisecond."""
    return datetime.fromtimestamp((attempt_id.int >> 80) / 1000, UTC)


def first_id_at(moment: datetime) -> UUID:
    """Return the smallest UUIDv7 of *moment*: ids below it were made earlier."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)
