"""Statistics for administrators: from hourly counts, never from the log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from chassis.caller import Caller
from chassis.clock import Clock
from chassis.database import Database
from chassis.errors import Unauthenticated
from contracts.token import SessionEnded, SessionStarted
from services.audit.domain.statistics import COUNTED, Span
from services.audit.errors import AdminRoleRequired
from services.audit.repository import activity, alerts, ip_blocks


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """What happened from `starts_at` on, for one interval."""

    starts_at: datetime
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """The counts of a span, and how things stand now."""

    span: Span
    buckets: Sequence[Bucket]
    active_sessions: int
    open_alerts: int
    ip_blocks: int
    as_of: datetime


class Counting:
    """Shows what was counted."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def read(self, caller: Caller, span: Span) -> Statistics:
        """Return the counts of *span*. Raises Unauthenticated, AdminRoleRequired."""
        if caller.principal is None:
            raise Unauthenticated
        if "admin" not in caller.principal.roles:
            raise AdminRoleRequired
        async with self._database.transaction() as tx:
            counted = await activity.count_by_interval(tx, span)
            ever = await activity.count_ever(tx, (SessionStarted.type, SessionEnded.type))
            open_alerts = await alerts.count_open(tx)
            blocks = await ip_blocks.count_blocks(tx)
        running = ever.get(SessionStarted.type, 0) - ever.get(SessionEnded.type, 0)
        return Statistics(
            span=span,
            buckets=[_bucket(counted, moment) for moment in span.moments],
            active_sessions=max(0, running),
            open_alerts=open_alerts,
            ip_blocks=blocks,
            as_of=self._clock.now(),
        )


def _bucket(counted: Mapping[tuple[str, datetime], int], starts_at: datetime) -> Bucket:
    counts = {name: counted.get((type_, starts_at), 0) for type_, name in COUNTED.items()}
    return Bucket(starts_at=starts_at, counts=counts)
