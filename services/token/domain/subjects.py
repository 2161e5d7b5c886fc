"""What token knows of a user, and how it changes: only ever upwards (D24)."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self
from uuid import UUID

from contracts.internal import SubjectStatus
from contracts.token import EndReason

FRESH_FOR = timedelta(minutes=5)
"""How long roles and status count without asking identity again."""

USABLE_FOR = timedelta(hours=24)
"""How long they count while identity is away; after that no token is renewed."""

PLAIN_ROLES = frozenset({"user"})
"""The roles of whom moderators may act on."""

_BARRED = ("disabled", "deleted")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A user as identity answered for, as of `version`."""

    user_id: UUID
    roles: frozenset[str]
    status: SubjectStatus
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectChange:
    """What one event says of a user, as of `version`; None is what it does not speak of.

    `ends_sessions` is the reason for which every session authenticated below `version` ends,
    except `kept_session`.
    """

    user_id: UUID
    version: int
    roles: frozenset[str] | None = None
    status: SubjectStatus | None = None
    ends_sessions: EndReason | None = None
    kept_session: UUID | None = None
    erases: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A user as token knows it.

    Roles and status carry a version each, since an event tells one of them and events may come in
    any order. `roles_version` is what access tokens carry as `ver`: the version their roles are of.
    Sessions authenticated below `sessions_valid_from` are dead.
    """

    user_id: UUID
    roles: frozenset[str] = frozenset()
    roles_version: int = 0
    status: SubjectStatus = "active"
    status_version: int = 0
    sessions_valid_from: int = 0
    checked_at: datetime | None = None

    @classmethod
    def of(cls, snapshot: Snapshot, *, now: datetime) -> Self:
        """Return a user of whom nothing is known but identity's answer."""
        return cls(
            user_id=snapshot.user_id,
            roles=snapshot.roles,
            roles_version=snapshot.version,
            status=snapshot.status,
            status_version=snapshot.version,
            checked_at=now,
        )

    def permits(self, session_version: int) -> bool:
        """Say whether a session authenticated at *session_version* may exist.

        A lock alone does not bar: an administrator's raises `sessions_valid_from`, and one after
        failed logins must not touch running sessions (D6).
        """
        return self.status not in _BARRED and session_version >= self.sessions_valid_from

    def age(self, now: datetime) -> timedelta:
        """Return how long ago identity confirmed roles and status."""
        return now - self.checked_at if self.checked_at else timedelta.max

    def confirmed(self, snapshot: Snapshot, *, now: datetime) -> Self:
        """Return the subject after identity's answer; an outdated answer changes nothing."""
        moved = self._moved(snapshot.version, roles=snapshot.roles, status=snapshot.status)
        if snapshot.version < max(self.roles_version, self.status_version):
            return moved
        return replace(moved, checked_at=now)

    def changed(self, change: SubjectChange) -> Self:
        """Return the subject after an event; an older one changes only what it is newest for."""
        moved = self._moved(change.version, roles=change.roles, status=change.status)
        if change.ends_sessions is None:
            return moved
        valid_from = max(self.sessions_valid_from, change.version)
        return replace(moved, sessions_valid_from=valid_from)

    def _moved(
        self, version: int, *, roles: frozenset[str] | None, status: SubjectStatus | None
    ) -> Self:
        moved = self
        if roles is not None and version >= self.roles_version:
            moved = replace(moved, roles=roles, roles_version=version)
        # Nobody comes back from being deleted, whatever the versions say.
        if status is not None and version >= self.status_version and self.status != "deleted":
            moved = replace(moved, status=status, status_version=version)
        return moved


def may_moderate(actor_roles: frozenset[str], target_roles: frozenset[str]) -> bool:
    """Say whether *actor_roles* may end the sessions of a user with *target_roles*."""
    if "admin" in actor_roles:
        return True
    return "moderator" in actor_roles and target_roles == PLAIN_ROLES
