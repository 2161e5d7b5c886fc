"""What happened at the door: each account's logins, and every failure."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

SUCCEEDED = "succeeded"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRecord:
    """One attempt to log in to an account; `outcome` is `succeeded` or why it was refused."""

    id: UUID
    user_id: UUID
    occurred_at: datetime
    ip: str | None
    user_agent: str | None
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedAttempt:
    """One failure; of a name nobody has only the keyed hash."""

    id: UUID
    user_id: UUID | None
    name_hash: str | None
    attempted_at: datetime
    ip: str | None
    user_agent: str | None
    reason: str
