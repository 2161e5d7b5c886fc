"""What is counted for statistics, and the buckets of time it is shown in."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from contracts.audit import IpBlocked, SuspiciousActivityDetected
from contracts.identity import (
    LoginFailed,
    LoginSucceeded,
    PasswordReset,
    UserLocked,
    UserRegistered,
)
from contracts.token import RefreshTokenReused, SessionEnded, SessionStarted, TokenRefreshed

COUNTED: Mapping[str, str] = {
    LoginSucceeded.type: "logins",
    LoginFailed.type: "login_failures",
    UserLocked.type: "locks",
    UserRegistered.type: "registrations",
    PasswordReset.type: "password_resets",
    SessionStarted.type: "sessions_started",
    SessionEnded.type: "sessions_ended",
    TokenRefreshed.type: "refreshes",
    RefreshTokenReused.type: "refresh_token_reuses",
    SuspiciousActivityDetected.type: "alerts",
    IpBlocked.type: "ip_blocks",
}
"""What each counted type of event is called."""

Interval = Literal["hour", "day"]

LENGTHS: Mapping[Interval, timedelta] = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
LONGEST: Mapping[Interval, timedelta] = {"hour": timedelta(days=31), "day": timedelta(days=366)}
"""How much one answer may cover."""

KEPT = timedelta(days=400)
"""How long hours are kept apart; older ones are one sum."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Whole buckets from `starts_at` (included) to `ends_at` (excluded), in UTC."""

    starts_at: datetime
    ends_at: datetime
    interval: Interval

    @property
    def moments(self) -> list[datetime]:
        """Return when each bucket begins."""
        length = LENGTHS[self.interval]
        count = (self.ends_at - self.starts_at) // length
        return [self.starts_at + n * length for n in range(count)]


def span(since: datetime, until: datetime, interval: Interval) -> Span:
    """Return the buckets that hold every moment from *since* to *until* (excluded)."""
    ends_at = floor(until, interval)
    if ends_at < until:
        ends_at += LENGTHS[interval]
    return Span(starts_at=floor(since, interval), ends_at=ends_at, interval=interval)


def floor(moment: datetime, interval: Interval) -> datetime:
    """Return when the bucket of *moment* begins (UTC)."""
    hour = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return hour if interval == "hour" else hour.replace(hour=0)
