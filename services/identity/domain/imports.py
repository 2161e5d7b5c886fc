"""Accounts from elsewhere: one line each, judged and stored one by one."""

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from chassis.errors import FieldError
from services.identity.domain.names import EmailAddress, Username

MAX_LINE_BYTES = 16 * 1024
MAX_LINES = 50_000
"""Of one request: what is said of each line is kept until the client has read it."""
MAX_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One account to be made.

    Without a hash its owner has to reset the password; without a username it gets a plain one.
    """

    line: int
    email: EmailAddress
    username: Username | None
    password_hash: str | None
    is_verified: bool
    roles: frozenset[str]
    created_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one line; `errors` says why it failed."""

    line: int
    status: Literal["created", "exists", "failed"]
    user_id: UUID | None = None
    errors: tuple[FieldError, ...] = ()


async def lines_of(stream: AsyncIterable[bytes]) -> AsyncIterator[bytes | None]:
    """Split what arrives into lines, None for one that is too long; holds no more than a line."""
    held, is_too_long = b"", False
    async for piece in stream:
        *whole, rest = (held + piece).split(b"\n")
        for line in whole:
            yield None if is_too_long or len(line) > MAX_LINE_BYTES else line
            is_too_long = False
        is_too_long = is_too_long or len(rest) > MAX_LINE_BYTES
        held = b"" if is_too_long else rest
    if held or is_too_long:
        yield None if is_too_long else held
