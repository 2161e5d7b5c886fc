"""The deny list in memory: which tokens are dead before their time (D12)."""

import sys
from dataclasses import dataclass
from datetime import datetime, timedelta

from chassis.clock import Clock
from chassis.errors import Unauthenticated
from chassis.jwt import MAX_LEEWAY, AccessToken
from contracts.internal import Revocation
from gateway.errors import TokenRevoked, TokenStale

_SWEEP_EVERY = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class _Subject:
    below_version: int
    until: datetime


class DenyList:
    """Entries by `jti`, by `sid`, and by `sub` with every `ver` below one; each ends by itself."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tokens: dict[str, datetime] = {}
        self._sessions: dict[str, datetime] = {}
        self._subjects: dict[str, _Subject] = {}
        self._swept = clock.now()

    def __len__(self) -> int:
        return len(self._tokens) + len(self._sessions) + len(self._subjects)

    def add(self, entry: Revocation) -> bool:
        """Take over *entry*; say whether it told anything new."""
        now = self._clock.now()
        if entry.revoked_until <= now:
            return False
        if now - self._swept >= _SWEEP_EVERY:
            self._sweep(now)
        if entry.kind == "sub":
            return self._add_subject(entry)
        place = self._tokens if entry.kind == "jti" else self._sessions
        known = place.get(entry.value)
        if known is not None and known >= entry.revoked_until:
            return False
        place[entry.value] = entry.revoked_until
        return True

    def learn(self, token: AccessToken, refusal: Unauthenticated) -> None:
        """Take over that another list refused *token*, so that it stays dead when that one goes."""
        until = token.exp + MAX_LEEWAY
        if isinstance(refusal, TokenStale):
            sub, below = token.sub, token.ver + 1
            entry = Revocation(kind="sub", value=sub, below_version=below, revoked_until=until)
        else:
            entry = Revocation(kind="jti", value=token.jti, revoked_until=until)
        self.add(entry)

    def refusal(self, token: AccessToken) -> Unauthenticated | None:
        """Return why *token* is dead, or None while it lives."""
        now = self._clock.now()
        if now - self._swept >= _SWEEP_EVERY:
            self._sweep(now)
        session = self._sessions.get(token.sid)
        for end in (self._tokens.get(token.jti), session):
            if end is not None and end > now:
                return TokenRevoked()
        subject = self._subjects.get(token.sub)
        if subject and token.ver < subject.below_version and subject.until > now:
            return TokenStale()
        return None

    def _add_subject(self, entry: Revocation) -> bool:
        # An entry without a version is not foreseen; were one to come, it would mean all of them.
        below = sys.maxsize if entry.below_version is None else entry.below_version
        known = self._subjects.get(entry.value, _Subject(0, entry.revoked_until))
        merged = _Subject(max(known.below_version, below), max(known.until, entry.revoked_until))
        changed = self._subjects.get(entry.value) != merged
        self._subjects[entry.value] = merged
        return changed

    def _sweep(self, now: datetime) -> None:
        self._swept = now
        self._tokens = {jti: end for jti, end in self._tokens.items() if end > now}
        self._sessions = {sid: end for sid, end in self._sessions.items() if end > now}
        self._subjects = {sub: s for sub, s in self._subjects.items() if s.until > now}
