"""The ways out of the house: one small port, one module per transport."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

AUTO_SUBMITTED = {"Auto-Submitted": "auto-generated"}
"""RFC 3834 §5: no out-of-office answers to us."""


@dataclass(frozen=True, slots=True)
class Originator:
    """Who mails come from: a display name (may be empty) and an address."""

    name: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One finished mail to one recipient. Its parts may hold a secret link and never print."""

    id: UUID
    message_id: str
    sender: Originator
    recipient: str = field(repr=False)
    subject: str
    text: str = field(repr=False)
    html: str = field(repr=False)
    date: datetime


class DeliveryFailed(Exception):  # noqa: N818 - a fact about the attempt
    """The mail was not taken over. `reason` is a stable word without any of the server's text."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TemporaryFailure(DeliveryFailed):
    """Another attempt may succeed, but not before `retry_after` where the other side says so."""

    def __init__(self, reason: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class TransportUnavailable(TemporaryFailure):
    """The way out itself is closed: every other mail would fare alike."""


class PermanentFailure(DeliveryFailed):
    """No further attempt can succeed."""


class Transport(Protocol):
    """Something that takes mails over for delivery."""

    async def send(self, mail: Mail) -> None:
        """Hand *mail* over; return once the other side is responsible for it.

        Bounded in time. Raises TemporaryFailure, PermanentFailure.
        """
        ...
