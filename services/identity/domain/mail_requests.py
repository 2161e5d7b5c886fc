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
    """Somebody registered an address that has an account already (D8, ADR 0013)."""
    EMAIL_CHANGE = "email_change"
    """An account wants this address; the request has the id of the change."""


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


def is_contested(user: User) -> bool:
    """Say whether a second registration of an address makes the first one's password suspect.

    Nobody has proven the address yet: the first may have been a stranger's, to wait for its owner.
    """
    return user.is_usable and not (user.is_verified or user.password_reset_required)


def mail_for(kind: RequestKind, user: User) -> Mail | None:
    """Say which mail *user* gets, if any.

    A verification link would leave the password as it is; where that is void, or somebody else may
    have chosen it, only a reset helps, and proves the address as well.
    """
    if not user.is_usable:
        return None
    if kind is not RequestKind.VERIFICATION or user.password_reset_required:
        return Mail.RESET
    return None if user.is_verified else Mail.VERIFICATION
