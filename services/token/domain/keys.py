"""The life of signing keys: published, active, retired, gone (D11)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from chassis.jwt import MAX_LEEWAY

JWKS_MAX_AGE = timedelta(minutes=5)
"""How long a client may keep the JWKS without asking again."""

KeyState = Literal["published", "active", "retired"]

# A key signs only after everybody who caches the JWKS has seen it, gateways and replicas included.
_PUBLISH_AHEAD = 3 * JWKS_MAX_AGE
_RETIRED_MARGIN = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLife:
    """Where one signing key stands in its life."""

    kid: str
    algorithm: str
    state: KeyState
    published_at: datetime
    activated_at: datetime | None = None
    retired_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationPolicy:
    """Which algorithm signs, how long a key does, and how long its tokens live."""

    algorithm: str
    rotate_after: timedelta
    access_ttl: timedelta

    @property
    def keep_retired(self) -> timedelta:
        """Return how long a retired key stays in the JWKS: until its last token has run out."""
        return self.access_ttl + MAX_LEEWAY + _RETIRED_MARGIN


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
    active = next((key for key in keys if key.state == "active"), None)
    waiting = [key for key in keys if key.state == "published" and key.kid not in drop]
    successor = min(waiting, key=lambda key: key.published_at, default=None)
    if active is None and successor is None:
        return Rotation(drop=drop, create="active")
    if active is None:
        return Rotation(drop=drop, activate=successor.kid if successor else None)
    due = _due_at(active, policy)
    if successor is None:
        return Rotation(drop=drop, create="published" if now >= due - _PUBLISH_AHEAD else None)
    if now >= max(due, successor.published_at + _PUBLISH_AHEAD):
        return Rotation(drop=drop, retire=active.kid, activate=successor.kid)
    return Rotation(drop=drop)


def _due_at(active: KeyLife, policy: RotationPolicy) -> datetime:
    """Return when *active* should stop signing; a key of another algorithm at once."""
    since = active.activated_at or active.published_at
    return since if active.algorithm != policy.algorithm else since + policy.rotate_after


def _is_spent(key: KeyLife, now: datetime, policy: RotationPolicy) -> bool:
    if key.state == "published":
        return key.algorithm != policy.algorithm
    return key.retired_at is not None and key.retired_at + policy.keep_retired <= now
