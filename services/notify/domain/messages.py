"""What a mail is, what becomes of it, and when it may be sent again."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID


class Template(StrEnum):
    """Every mail there is."""

    VERIFICATION = "verification"
    WELCOME = "welcome"
    PASSWORD_RESET = "password_reset"
    PASSWORD_WAS_RESET = "password_was_reset"
    PASSWORD_CHANGED = "password_changed"
    EMAIL_CHANGE = "email_change"
    EMAIL_CHANGE_NOTICE = "email_change_notice"
    EMAIL_CHANGED = "email_changed"
    ACCOUNT_LOCKED = "account_locked"
    NEW_DEVICE = "new_device"
    SESSION_REUSED = "session_reused"
    SUSPICIOUS_ACTIVITY = "suspicious_activity"
    SECURITY_ALERT = "security_alert"


PAGES = {
    Template.VERIFICATION: "/verify-email",
    Template.PASSWORD_RESET: "/reset-password",
    Template.EMAIL_CHANGE: "/verify-email",
    Template.EMAIL_CHANGE_NOTICE: "/revert-email",
}
"""The page each mail with a secret links to; the token travels in the fragment (D10)."""


class State(StrEnum):
    """Where a mail stands. All but `waiting` are final."""

    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"
    SUPPRESSED = "suppressed"


class Reason(StrEnum):
    """Why a mail was not sent; part of the published events."""

    ADDRESS_INVALID = "address_invalid"
    ATTEMPTS_EXHAUSTED = "attempts_exhausted"
    EXPIRED = "expired"
    INTERNAL_ERROR = "internal_error"
    RECIPIENT_ERASED = "recipient_erased"
    SECRET_UNREADABLE = "secret_unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What a mail is written for: a command, a fact, or an administrator's wish."""

    id: UUID
    type: str
    traceparent: str | None = None
    actor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A mail to be written: who gets which, and why. Per cause and template there is one mail.

    `facts` are the template's own values, plain JSON. `sealed_token` opens only with the cause's
    name (see `Message.seal_context`).
    """

    cause: Cause
    template: Template
    recipient: str | None = field(repr=False)
    recipient_name: str | None = None
    user_id: UUID | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    sealed_token: str | None = field(default=None, repr=False)
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One row of the ledger. `recipient` is None once its owner was erased."""

    id: UUID
    source_id: UUID
    source_type: str
    template: Template
    user_id: UUID | None
    recipient: str | None = field(repr=False)
    recipient_name: str | None = field(repr=False)
    facts: dict[str, Any] = field(repr=False)
    sealed_token: str | None = field(repr=False)
    expires_at: datetime | None
    state: State
    reason: str | None
    attempts: int
    next_attempt_at: datetime | None
    created_at: datetime
    settled_at: datetime | None
    traceparent: str | None
    actor: str | None

    @property
    def seal_context(self) -> str:
        """Return what the sealed token is bound to."""
        return f"{self.source_type}:{self.source_id}"

    @property
    def carries_secret(self) -> bool:
        """Say whether this mail's link carries a one-time token."""
        return self.template in PAGES


@dataclass(frozen=True, slots=True)
class Recipient:
    """Somebody mails go to; without an address nothing can be sent (not known yet, or erased)."""

    user_id: UUID
    email: str | None = field(repr=False)
    username: str | None = field(repr=False)
    erased: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a mail after an attempt; `retry_in` only where it stays waiting."""

    state: State
    reason: str | None = None
    retry_in: timedelta | None = None


SENT = Verdict(State.SENT)

LONGEST_WAIT = timedelta(hours=1)
"""How long the other side may put us off at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When to try again: `first`, doubled each time up to `cap`, shortened by up to `jitter`.

    The defaults reach from five seconds to half an hour and give up after about 21 hours.
    """

    first: timedelta = timedelta(seconds=5)
    cap: timedelta = timedelta(minutes=30)
    jitter: float = 0.2
    max_attempts: int = 50

    def delay(self, attempts: int, *, chance: float) -> timedelta:
        """Return the wait after *attempts* (≥ 1) failures; *chance* is a number in [0, 1)."""
        doublings = min(max(attempts, 1) - 1, 32)
        longest = min(self.first.total_seconds() * 2.0**doublings, self.cap.total_seconds())
        return timedelta(seconds=longest * (1 - self.jitter * chance))

    def after_failure(
        self, attempts: int, reason: str, *, chance: float, retry_after: timedelta | None = None
    ) -> Verdict:
        """Say what a temporary failure of attempt number *attempts* means.

        The other side may ask for a longer wait (*retry_after*), up to `LONGEST_WAIT`.
        """
        if attempts >= self.max_attempts:
            return Verdict(State.FAILED, Reason.ATTEMPTS_EXHAUSTED)
        asked = min(retry_after or timedelta(), LONGEST_WAIT)
        return Verdict(State.WAITING, reason, max(asked, self.delay(attempts, chance=chance)))


def verdict_before_sending(
    message: Message, *, now: datetime, policy: RetryPolicy
) -> Verdict | None:
    """Say why *message* must not be sent, or None when it may go out."""
    if message.recipient is None:
        return Verdict(State.SUPPRESSED, Reason.RECIPIENT_ERASED)
    if message.expires_at is not None and message.expires_at <= now:
        return Verdict(State.SUPPRESSED, Reason.EXPIRED)
    if message.carries_secret and message.sealed_token is None:
        return Verdict(State.FAILED, Reason.SECRET_UNREADABLE)
    if message.attempts > policy.max_attempts:
        return Verdict(State.FAILED, Reason.ATTEMPTS_EXHAUSTED)
    return None


class Resend(StrEnum):
    """What an administrator's wish to send a mail again comes to."""

    HASTEN = "hasten"
    COPY = "copy"
    REFUSE = "refuse"


def decide_resend(message: Message, *, now: datetime) -> Resend:
    """Say what sending *message* again means.

    A waiting mail is tried at once, unless its link has expired. A settled one is sent as a new
    mail, but never one with a secret: its token was wiped, the person asks for a new link.
    """
    if message.recipient is None:
        return Resend.REFUSE
    if message.state is State.WAITING:
        expired = message.expires_at is not None and message.expires_at <= now
        return Resend.REFUSE if expired else Resend.HASTEN
    return Resend.REFUSE if message.carries_secret else Resend.COPY
