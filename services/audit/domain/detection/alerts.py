"""Alerts: one per incident, however often its pattern is found again."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self
from uuid import UUID

from chassis.networks import Address, Network
from services.audit.domain.detection.campaigns import EVERYWHERE
from services.audit.domain.detection.findings import CAMPAIGN, SHOWN_ADDRESSES, Finding
from services.audit.domain.detection.rules import SEVERITIES, Rule, Severity


class Status(StrEnum):
    """What an administrator made of an alert."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One incident as administrators see it.

    `attempts` grows with it; `accounts` and `address_count` are the most that were seen within one
    window. `address` is the cause where it is a single one.
    """

    id: UUID
    rule: Rule
    severity: Severity
    incident: str = field(repr=False)
    status: Status
    user_id: UUID | None
    address: Network | None
    addresses: tuple[Network, ...]
    address_count: int
    accounts: int
    attempts: int
    blocked: int
    first_seen: datetime
    last_seen: datetime
    raised_at: datetime
    acknowledged_at: datetime | None = None
    acknowledged_by: UUID | None = None
    closed_at: datetime | None = None
    closed_by: UUID | None = None

    @classmethod
    def of(cls, finding: Finding, *, alert_id: UUID, raised_at: datetime) -> Self:
        """Open an alert with *finding*."""
        return cls(
            id=alert_id,
            rule=finding.rule,
            severity=SEVERITIES[finding.rule],
            incident=finding.incident,
            status=Status.OPEN,
            user_id=finding.user_id,
            address=finding.address,
            addresses=finding.addresses[:SHOWN_ADDRESSES],
            address_count=finding.address_count,
            accounts=finding.accounts,
            attempts=finding.attempts,
            blocked=0,
            first_seen=finding.first_seen,
            last_seen=finding.last_seen,
            raised_at=raised_at,
        )

    def has(self, finding: Finding, *, quiet: timedelta) -> bool:
        """Say whether *finding* is this incident again: no quiet time lies between the two."""
        return (
            finding.incident == self.incident
            and finding.first_seen <= self.last_seen + quiet
            and finding.last_seen >= self.first_seen - quiet
        )

    def grown(self, finding: Finding, *, attempts: int) -> Self:
        """Return the alert after *finding*, of which so many *attempts* are new."""
        known = dict.fromkeys((*self.addresses, *finding.addresses))
        return replace(
            self,
            addresses=tuple(known)[:SHOWN_ADDRESSES],
            address_count=max(self.address_count, finding.address_count),
            accounts=max(self.accounts, finding.accounts),
            attempts=self.attempts + attempts,
            first_seen=min(self.first_seen, finding.first_seen),
            last_seen=max(self.last_seen, finding.last_seen),
        )

    def with_blocks(self, made: int) -> Self:
        """Return the alert after so many more addresses were blocked for it."""
        return replace(self, blocked=self.blocked + made)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertFilters:
    """What alerts must match, all of it; `since` and `until` (excluded) are of `raised_at`."""

    status: Status | None = None
    rule: Rule | None = None
    severity: Severity | None = None
    user_id: UUID | None = None
    address: Address | None = None
    since: datetime | None = None
    until: datetime | None = None


def absorbed(finding: Finding, running: Iterable[Alert], *, quiet: timedelta) -> Finding:
    """Return *finding* as a part of the running campaign it belongs to, or as it is.

    What has a running alert of its own stays with that.
    """
    running = tuple(running)
    if finding.scope is None or any(alert.has(finding, quiet=quiet) for alert in running):
        return finding
    for scope in (finding.scope, EVERYWHERE):
        part = replace(
            finding,
            rule=Rule.CREDENTIAL_STUFFING,
            incident=f"{CAMPAIGN}{scope}",
            address=None,
            user_id=None,
        )
        if any(alert.has(part, quiet=quiet) for alert in running):
            return part
    return finding
