"""Entries of the deny list, and the cursor by which gateways follow it (D12)."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, Self
from uuid import UUID

from chassis.jwt import MAX_LEEWAY

OVERLAP = timedelta(seconds=60)
"""How far back a poll reads again: longer than any transaction that writes an entry."""

_MARGIN = timedelta(seconds=60)
_CURSOR = re.compile(r"([0-9]{1,17})(?:\.([0-9]{1,17})\.([0-9]{1,18}))?")
_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

RevocationKind = Literal["jti", "sid", "sub"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """A `jti`, a `sid`, or a `sub` with every `ver` below a version, refused until a time."""

    kind: RevocationKind
    value: str
    revoked_until: datetime
    below_version: int | None = None

    @classmethod
    def of_token(cls, jti: str, expires_at: datetime) -> Self:
        """Refuse one access token until it has run out everywhere."""
        return cls(kind="jti", value=jti, revoked_until=expires_at + MAX_LEEWAY + _MARGIN)

    @classmethod
    def of_session(cls, session_id: UUID, until: datetime) -> Self:
        """Refuse every access token of a session."""
        return cls(kind="sid", value=str(session_id), revoked_until=until)

    @classmethod
    def of_subject(cls, user_id: UUID, *, below_version: int, until: datetime) -> Self:
        """Refuse a user's access tokens made before *below_version*."""
        return cls(kind="sub", value=str(user_id), below_version=below_version, revoked_until=until)


def revoked_until(now: datetime, access_ttl: timedelta) -> datetime:
    """Return when every access token issued until *now* has run out everywhere."""
    return now + access_ttl + MAX_LEEWAY + _MARGIN


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a gateway stands: when its present reading began, and the last entry it has of it.

    A reading that is complete has no last entry; the next one starts OVERLAP before it, since a
    transaction may commit an entry later than others that were made after it.
    """

    began_at: datetime
    last_created_at: datetime | None = None
    last_id: int = 0

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the cursor *text* stands for, or None when it was not made here."""
        match = _CURSOR.fullmatch(text)
        if match is None:
            return None
        try:
            began, last, last_id = (int(group) if group else None for group in match.groups())
            last_created_at = None if last is None else _EPOCH + last * _MICROSECOND
            return cls(_EPOCH + (began or 0) * _MICROSECOND, last_created_at, last_id or 0)
        except OverflowError:
            return None

    def __str__(self) -> str:
        began = (self.began_at - _EPOCH) // _MICROSECOND
        if self.last_created_at is None:
            return str(began)
        return f"{began}.{(self.last_created_at - _EPOCH) // _MICROSECOND}.{self.last_id}"

    @property
    def after(self) -> tuple[datetime, int]:
        """Return the position (created_at, id) after which entries are wanted."""
        if self.last_created_at is not None:
            return self.last_created_at, self.last_id
        return max(self.began_at, _EPOCH + OVERLAP) - OVERLAP, 0
