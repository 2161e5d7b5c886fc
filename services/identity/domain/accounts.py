"""Accounts: what one is made of, and what its state allows."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

Status = Literal["active", "unverified", "locked", "disabled"]


class Role(StrEnum):
    """The roles of the seed."""

    USER = "user"
    MODERATOR = "moderator"
    ADMIN = "admin"


PLAIN_ROLES = frozenset({Role.USER})
"""What accounts a moderator may touch have, exactly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """One account. `version` counts its changes (D24).

    `is_locked` is an administrator's lock, `locked_until` the end of a failure lock.
    `credentials_epoch` counts its passwords: device tokens of an older one are void.
    """

    id: UUID
    email: str
    email_folded: str
    username: str
    password_hash: str
    is_verified: bool
    is_locked: bool
    locked_until: datetime | None
    is_disabled: bool
    password_change_required: bool
    password_reset_required: bool
    credentials_epoch: int
    version: int
    created_at: datetime
    last_login: datetime | None
    unverified_since: datetime | None
    roles: frozenset[str]

    @property
    def status(self) -> Status:
        """Return what token may know of the account; a failure lock touches no session (D6)."""
        if self.is_disabled:
            return "disabled"
        if self.is_locked:
            return "locked"
        return "active" if self.is_verified else "unverified"

    @property
    def is_usable(self) -> bool:
        """Say whether no administrator took the account out of service."""
        return not (self.is_disabled or self.is_locked)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUser:
    """An account about to be stored."""

    id: UUID
    email: str
    email_folded: str
    username: str
    password_hash: str
    roles: frozenset[str]
    created_at: datetime
    is_verified: bool = False
    password_change_required: bool = False
    password_reset_required: bool = False


class Standing(StrEnum):
    """What a correct password leads to (D7)."""

    WELCOME = "welcome"
    DISABLED = "account_disabled"
    RESET_REQUIRED = "password_reset_required"
    UNVERIFIED = "email_not_verified"
    CHANGE_REQUIRED = "password_change_required"


def standing(user: User) -> Standing:
    """Say what *user*, whose password was right, may be told."""
    if not user.is_usable:
        return Standing.DISABLED
    if user.password_reset_required:
        return Standing.RESET_REQUIRED
    if not user.is_verified:
        return Standing.UNVERIFIED
    return Standing.CHANGE_REQUIRED if user.password_change_required else Standing.WELCOME


def may_moderate(actor_roles: frozenset[str], target_roles: frozenset[str]) -> bool:
    """Say whether *actor_roles* may read, lock and unlock an account with *target_roles*."""
    if Role.ADMIN in actor_roles:
        return True
    return Role.MODERATOR in actor_roles and target_roles == PLAIN_ROLES
