"""Sessions: how many a user may have, how long they last, and what they are called."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from uuid import UUID

_DEVICE_LENGTH = 64
# The first match names it; browsers pretend to be each other, so the order matters.
_PROGRAMS = (
    ("Edge", r"\bEdg(e|A|iOS)?/"),
    ("Opera", r"\bOPR/"),
    ("Samsung Internet", r"\bSamsungBrowser/"),
    ("Firefox", r"\b(Firefox|FxiOS)/"),
    ("Chrome", r"\b(Chrome|CriOS)/"),
    ("Safari", r"\bSafari/"),
)
_SYSTEMS = (
    ("iPhone", r"\biPhone\b"),
    ("iPad", r"\biPad\b"),
    ("Android", r"\bAndroid\b"),
    ("Windows", r"\bWindows\b"),
    ("ChromeOS", r"\bCrOS\b"),
    ("macOS", r"\bMac OS X\b|\bMacintosh\b"),
    ("Linux", r"\bLinux\b"),
)
_PRODUCT = re.compile(r"[A-Za-z][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One login of one user on one device.

    `subject_version` is the user's version it was authenticated at, `epoch` the number of global
    revocations until then, `expires_at` the end of its idle life, which a refresh moves on, but
    never beyond `absolute_expires_at`. `refreshes_paid_until` is GCRA's theoretical arrival time.
    """

    id: UUID
    user_id: UUID
    subject_version: int
    amr: tuple[str, ...]
    scope: str
    authenticated_at: datetime
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    absolute_expires_at: datetime
    device: str | None = None
    client_address: str | None = None
    user_agent: str | None = None
    ended_at: datetime | None = None
    epoch: int = 0
    refreshes_paid_until: datetime | None = None

    def is_live(self, now: datetime) -> bool:
        """Say whether the session still gives tokens."""
        return self.ended_at is None and now < min(self.expires_at, self.absolute_expires_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """How long things last: an access token, a session unused, a session at most."""

    access: timedelta
    idle: timedelta
    absolute: timedelta

    def idle_end(self, now: datetime, absolute_end: datetime) -> datetime:
        """Return when a session used *now* expires unless it is used again."""
        return min(now + self.idle, absolute_end)

    def access_end(self, now: datetime, absolute_end: datetime) -> datetime:
        """Return when an access token made *now* expires: never after its session could."""
        return min(now + self.access, absolute_end)


def surplus(live: Sequence[Session], *, limit: int) -> Sequence[Session]:
    """Return which of the *live* sessions must end to make room for one more.

    *limit* is the number of sessions a user may have, 0 for any number; the oldest go first.
    """
    if limit == 0:
        return []
    newest_first = sorted(live, key=lambda session: (session.created_at, session.id), reverse=True)
    return newest_first[limit - 1 :]


@lru_cache(maxsize=512)
def device_name(user_agent: str | None) -> str | None:
    """Return what a person would call the program and system of *user_agent*."""
    if not user_agent:
        return None
    program = _first(_PROGRAMS, user_agent)
    system = _first(_SYSTEMS, user_agent)
    if program is None:
        product = _PRODUCT.match(user_agent)
        program = product.group()[:_DEVICE_LENGTH] if product else None
    if program and system:
        return f"{program} on {system}"
    return program or system


def _first(names: Sequence[tuple[str, str]], user_agent: str) -> str | None:
    return next((name for name, pattern in names if re.search(pattern, user_agent)), None)
