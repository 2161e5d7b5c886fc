"""Queries and answers about alerts."""

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BeforeValidator, Field

from chassis.errors import FieldError, InvalidInput
from chassis.http import QueryModel, ResponseModel
from services.audit.domain.detection.alerts import Alert, AlertFilters, Status
from services.audit.domain.detection.rules import Rule, Severity
from services.audit.schemas.ip_blocks import parse_address
from services.audit.schemas.log import Moment


class AlertsQuery(QueryModel):
    """One page of the alerts; `from` counts, `to` does not, both of when they were raised."""

    limit: int = Field(default=50, ge=1, le=200)
    cursor: UUID | None = None
    status: Status | None = None
    rule: Rule | None = None
    severity: Severity | None = None
    user_id: UUID | None = None
    address: Annotated[Any, BeforeValidator(parse_address)] | None = None
    since: Moment | None = Field(default=None, alias="from")
    until: Moment | None = Field(default=None, alias="to")

    def filters(self) -> AlertFilters:
        """Return the filters asked for. Raises InvalidInput when the time ends before it begins."""
        if self.since and self.until and self.since > self.until:
            detail = "The time asked for ends before it begins."
            raise InvalidInput(errors=[FieldError("/to", "before_from", detail)])
        names = AlertFilters.__dataclass_fields__
        return AlertFilters(**{name: getattr(self, name) for name in names})


class AlertView(ResponseModel):
    """One incident.

    `user_id` is the account concerned and `address` the cause, where there is exactly one;
    `addresses` are the first twenty of `address_count`, `blocked` is how many blocks were set.
    `attempts` grows as long as the incident lasts, `accounts` is the most within one window.
    """

    id: UUID
    rule: Rule
    severity: Severity
    status: Status
    user_id: UUID | None
    address: str | None
    addresses: tuple[str, ...]
    address_count: int
    accounts: int
    attempts: int
    blocked: int
    first_seen: datetime
    last_seen: datetime
    raised_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: UUID | None
    closed_at: datetime | None
    closed_by: UUID | None

    @classmethod
    def of(cls, alert: Alert) -> Self:
        """Show *alert*."""
        values = {name: getattr(alert, name) for name in cls.model_fields}
        return cls(
            **values
            | {
                "address": None if alert.address is None else str(alert.address),
                "addresses": tuple(str(address) for address in alert.addresses),
            }
        )


class AlertPageView(ResponseModel):
    """One page of alerts, the newest first."""

    items: tuple[AlertView, ...]
    next_cursor: UUID | None
