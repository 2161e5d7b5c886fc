"""Requests for a mail, taken from anybody, and what became of them (D10)."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

from services.identity.domain.accounts import User


class RequestKind(StrEnum):
    """What somebody asked for."""

    RESET = "reset"
    VERIFICATION = "verification"
    REGISTRATION = "registration"
    """Somebody registered an address that has an account already (private mode, D8)."""


class RequestOutcome(StrEnum):
    """What the worker made of a request."""

    MAILED = "mailed"
    UNKNOWN = "unknown"
    LIMITED = "limited"
    NOT_NEEDED = "not_needed"


@dataclass(frozen=True, slots=True, kw_only=True)
class MailRequest:
    """One waiting request, with the circumstances it was made in."""

    id: UUID
    kind: RequestKind
    mailbox: str
    mailbox_key: bytes
    ip: str | None
    user_agent: str | None
    request_id: str
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class MailLimit:
    """How many mails one mailbox gets within *window* (X-26: nobody is bombed with our mails)."""

    count: int
    window: timedelta


class Mail(StrEnum):
    """Which mail answers a request."""

    VERIFICATION = "verification"
    RESET = "reset"


def mail_for(kind: RequestKind, user: User) -> Mail | None:
    """Say which mail *user* gets, if any."""
    if not user.is_usable:
        return None
    if kind is RequestKind.RESET:
        return Mail.RESET
    if not user.is_verified:
        return Mail.VERIFICATION
    return Mail.RESET if kind is RequestKind.REGISTRATION else None
