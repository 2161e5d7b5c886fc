"""What presenting a refresh token means (RFC 9700 §4.14.2, D3)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from uuid import UUID


class Decision(Enum):
    """What is to be done with a presented refresh token of a live session."""

    ROTATE = "rotate"
    REPEAT = "repeat"
    REUSED = "reused"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshToken:
    """A member of a session's family.

    `spent_by` is the fingerprint of the client that rotated it; `sealed_successor` is there only
    in the immediate predecessor of the newest token.
    """

    hash: bytes
    session_id: UUID
    generation: int
    expires_at: datetime
    spent_at: datetime | None = None
    spent_by: bytes | None = None
    sealed_successor: str | None = None

    @property
    def is_immediate_predecessor(self) -> bool:
        """Say whether its successor has not been used yet."""
        return self.sealed_successor is not None


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one session may refresh by GCRA: `times` a `period`, all at once if it has waited.

    `paid_until` is when the allowance is whole again, None when it never was touched.
    """

    times: int
    period: timedelta
    paid_until: datetime | None = None

    def wait(self, now: datetime) -> timedelta:
        """Return how long the next refresh has to wait; nothing when it may be now."""
        return max(self._backlog(now) + self.interval - self.period, timedelta())

    def latest(self, now: datetime) -> datetime:
        """Return the last `paid_until` with which nobody has to wait."""
        return now + self.period - self.interval

    @property
    def interval(self) -> timedelta:
        """Return how much later one refresh makes the allowance whole."""
        return max(self.period // self.times, timedelta.resolution)

    def _backlog(self, now: datetime) -> timedelta:
        return max((self.paid_until or now) - now, timedelta())


def decide(token: RefreshToken, *, now: datetime, client: bytes, grace: timedelta) -> Decision:
    """Say what presenting *token* means; *client* is the fingerprint of who presents it.

    Without any *grace* nothing is repeated, not even for who asked before the other was answered.
    """
    if token.expires_at <= now:
        return Decision.EXPIRED
    if token.spent_at is None:
        return Decision.ROTATE
    in_time = bool(grace) and now - token.spent_at <= grace
    if in_time and token.is_immediate_predecessor and token.spent_by == client:
        return Decision.REPEAT  # the client lost our answer
    return Decision.REUSED  # somebody else holds this token: end the family
