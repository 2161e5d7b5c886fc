"""Queries and answers about what happened, in numbers."""

from collections.abc import Mapping
from datetime import datetime
from typing import Self

from pydantic import Field

from chassis.errors import FieldError, InvalidInput
from chassis.http import QueryModel, ResponseModel
from services.audit.domain.statistics import COUNTED, LENGTHS, LONGEST, Interval, Span, span
from services.audit.schemas.log import Moment
from services.audit.service.statistics import Statistics

_SHOWN = 24


class StatsQuery(QueryModel):
    """Which time, and by which interval: by default the last 24 buckets."""

    interval: Interval = "hour"
    since: Moment | None = Field(default=None, alias="from")
    until: Moment | None = Field(default=None, alias="to")

    def span(self, now: datetime) -> Span:
        """Return the buckets asked for. Raises InvalidInput."""
        try:
            until = self.until or now
            since = self.since or until - _SHOWN * LENGTHS[self.interval]
            asked = span(since, until, self.interval)
        except OverflowError:
            raise _refused("/to", "out_of_range", "This time is out of range.") from None
        if since >= until:
            raise _refused("/to", "before_from", "The time asked for ends before it begins.")
        if asked.ends_at - asked.starts_at > LONGEST[self.interval] + LENGTHS[self.interval]:
            days = LONGEST[self.interval].days
            raise _refused("/from", "too_long", f"At most {days} days by the {self.interval}.")
        return asked


class Counts(ResponseModel):
    """How often each thing happened."""

    logins: int
    login_failures: int
    locks: int
    registrations: int
    password_resets: int
    sessions_started: int
    sessions_ended: int
    refreshes: int
    refresh_token_reuses: int
    alerts: int
    ip_blocks: int


class BucketView(Counts):
    """One interval, from `starts_at` on (UTC)."""

    starts_at: datetime


class CurrentView(ResponseModel):
    """How things stand as of `as_of`."""

    as_of: datetime
    active_sessions: int
    open_alerts: int
    ip_blocks: int


class StatsView(ResponseModel):
    """What happened from `starts_at` to `ends_at` (excluded): in all, and bucket by bucket."""

    starts_at: datetime
    ends_at: datetime
    interval: Interval
    current: CurrentView
    totals: Counts
    buckets: tuple[BucketView, ...]

    @classmethod
    def of(cls, found: Statistics) -> Self:
        """Show *found*."""
        totals = {
            name: sum(bucket.counts[name] for bucket in found.buckets) for name in COUNTED.values()
        }
        return cls(
            starts_at=found.span.starts_at,
            ends_at=found.span.ends_at,
            interval=found.span.interval,
            current=CurrentView(
                as_of=found.as_of,
                active_sessions=found.active_sessions,
                open_alerts=found.open_alerts,
                ip_blocks=found.ip_blocks,
            ),
            totals=_counts(totals),
            buckets=tuple(
                BucketView(starts_at=bucket.starts_at, **bucket.counts) for bucket in found.buckets
            ),
        )


def _counts(counts: Mapping[str, int]) -> Counts:
    return Counts(**counts)


def _refused(pointer: str, code: str, detail: str) -> InvalidInput:
    return InvalidInput(errors=[FieldError(pointer, code, detail)])
