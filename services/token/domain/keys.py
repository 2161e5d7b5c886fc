"""The life of signing keys: published, active, retired, gone; or revoked at once (D11)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from chassis.jwt import MAX_LEEWAY
from contracts.internal import JWKS_POLL

JWKS_MAX_AGE = timedelta(minutes=5)
"""How long a client may keep the JWKS without asking again."""

REVOKED_KEPT = timedelta(days=30)
"""How long a revoked key stays listed; gateways that run remember it for good."""

MAX_REVOKED = 50
"""How many revoked keys are listed at most: the oldest go first."""

MAX_REASON = 500
"""How many characters may say why a key was revoked."""

KeyState = Literal["published", "active", "retired"]

_RETIRED_MARGIN = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLife:
    """Where one signing key stands in its life; `due_at` is when it was asked to be replaced."""

    kid: str
    algorithm: str
    state: KeyState
    published_at: datetime
    activated_at: datetime | None = None
    retired_at: datetime | None = None
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokedKey:
    """A key nobody may trust any more, and why; `successor` signs in its place, if it signed."""

    kid: str
    algorithm: str
    published_at: datetime
    activated_at: datetime | None
    retired_at: datetime | None
    revoked_at: datetime
    successor: str | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationPolicy:
    """Which algorithm signs, how long a key does, and how long others rely on what they know."""

    algorithm: str
    rotate_after: timedelta
    access_ttl: timedelta
    jwks_max_age: timedelta = JWKS_MAX_AGE

    @property
    def publish_ahead(self) -> timedelta:
        """Return how long a key is published before it signs: until everybody has seen it.

        That is when the caches of clients and the polls of gateways have run out. Twice, for a
        client behind a cache may count its time from the cache's answer (RFC 9111 §4.2.3), and a
        poll may fail.
        """
        return 2 * (self.jwks_max_age + JWKS_POLL)

    @property
    def keep_retired(self) -> timedelta:
        """Return how long a retired key stays in the JWKS: until its last token has run out."""
        return self.access_ttl + MAX_LEEWAY + _RETIRED_MARGIN

    def hands_over_at(
        self, active: KeyLife, successor: KeyLife | None, *, now: datetime
    ) -> datetime:
        """Return when *active* is to stop signing, if nothing else happens."""
        published_at = successor.published_at if successor else now
        return max(self.due_at(active), published_at + self.publish_ahead)

    def due_at(self, active: KeyLife) -> datetime:
        """Return when *active* should stop signing; a key of another algorithm at once."""
        since = active.activated_at or active.published_at
        if active.algorithm != self.algorithm:
            return since
        due = since + self.rotate_after
        return due if active.due_at is None else min(due, active.due_at)

    def gone_at(self, key: KeyLife) -> datetime | None:
        """Return when a retired key leaves the JWKS."""
        return None if key.retired_at is None else key.retired_at + self.keep_retired


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """What is to be done now, in this order: drop, create, retire and activate."""

    drop: tuple[str, ...] = ()
    create: KeyState | None = None
    retire: str | None = None
    activate: str | None = None

    def __bool__(self) -> bool:
        return bool(self.drop or self.create or self.activate)


def plan_rotation(keys: Sequence[KeyLife], *, now: datetime, policy: RotationPolicy) -> Rotation:
    """Say what the time asks for; calling it again after it was done asks for nothing."""
    drop = tuple(key.kid for key in keys if _is_spent(key, now, policy))
    active, successor = find_active(keys), find_successor(keys, policy)
    if active is None and successor is None:
        return Rotation(drop=drop, create="active")
    if active is None:
        return Rotation(drop=drop, activate=successor.kid if successor else None)
    if successor is None:
        wanted = now >= policy.due_at(active) - policy.publish_ahead
        return Rotation(drop=drop, create="published" if wanted else None)
    if now >= policy.hands_over_at(active, successor, now=now):
        return Rotation(drop=drop, retire=active.kid, activate=successor.kid)
    return Rotation(drop=drop)


def find_active(keys: Sequence[KeyLife]) -> KeyLife | None:
    """Return the key that signs."""
    return next((key for key in keys if key.state == "active"), None)


def find_successor(keys: Sequence[KeyLife], policy: RotationPolicy) -> KeyLife | None:
    """Return the key that signs next: of those that are published, the one longest known."""
    waiting = (k for k in keys if k.state == "published" and k.algorithm == policy.algorithm)
    return min(waiting, key=lambda key: key.published_at, default=None)


def _is_spent(key: KeyLife, now: datetime, policy: RotationPolicy) -> bool:
    if key.state == "published":
        # Not at once: while SIGNING_ALGORITHM changes, one replica after the other learns of it.
        foreign = key.algorithm != policy.algorithm
        return foreign and key.published_at + policy.publish_ahead <= now
    gone_at = policy.gone_at(key)
    return gone_at is not None and gone_at <= now
