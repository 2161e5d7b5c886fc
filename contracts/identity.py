"""What identity tells others: facts about people and their credentials."""

from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

from contracts.envelope import EventData


class UserEvent(EventData):
    """A fact about one account; the envelope's `subject` repeats `user_id`."""

    user_id: UUID


class UserRegistered(UserEvent):
    """An account was created.

    Its address is not proven yet, unless `is_verified`: so are imported accounts and the first
    administrator.
    """

    type: ClassVar[str] = "identity.user.registered.v1"
    email: str
    username: str
    roles: tuple[str, ...]
    is_verified: bool = False


class UserEmailVerified(UserEvent):
    """The owner of the address pressed the button of the mailed link."""

    type: ClassVar[str] = "identity.user.email_verified.v1"
    email: str


class UserEmailChanged(UserEvent):
    """The account has another address.

    `cause` says who wanted it: the owner, an administrator, or the owner of the previous address
    who took a change back.
    """

    type: ClassVar[str] = "identity.user.email_changed.v1"
    email: str
    previous_email: str
    cause: Literal["owner", "admin", "revert"] = "owner"


class UserUpdated(UserEvent):
    """Profile fields changed; `fields` names them, never their values."""

    type: ClassVar[str] = "identity.user.updated.v1"
    fields: tuple[str, ...]


class UserDeleted(UserEvent):
    """The account is gone: every service erases what it holds of the person."""

    type: ClassVar[str] = "identity.user.deleted.v1"


class UserRolesChanged(UserEvent):
    """The account has exactly these roles now."""

    type: ClassVar[str] = "identity.user.roles_changed.v1"
    roles: tuple[str, ...]
    previous_roles: tuple[str, ...]


class UserLocked(UserEvent):
    """The account is locked; only `cause: admin` ends sessions (D24)."""

    type: ClassVar[str] = "identity.user.locked.v1"
    cause: Literal["failures", "admin"]
    locked_until: datetime | None


class UserUnlocked(UserEvent):
    """The lock was lifted before its time, or ran out and the owner came back."""

    type: ClassVar[str] = "identity.user.unlocked.v1"
    cause: Literal["admin", "reset"]


class UserDisabled(UserEvent):
    """An administrator took the account out of service."""

    type: ClassVar[str] = "identity.user.disabled.v1"


class UserEnabled(UserEvent):
    """An administrator put the account back into service."""

    type: ClassVar[str] = "identity.user.enabled.v1"


class LoginSucceeded(UserEvent):
    """Credentials were accepted; a session follows only when token says so."""

    type: ClassVar[str] = "identity.login.succeeded.v1"
    amr: tuple[str, ...] = ("pwd",)


class DeviceAdded(UserEvent):
    """An account that had been used before was entered from a device not seen with it."""

    type: ClassVar[str] = "identity.device.added.v1"


class LoginFailed(EventData):
    """Credentials were refused.

    `user_id` is None for a name nobody has; `name_hash` is then HMAC(name), since people type
    passwords into the name field (D16).
    """

    type: ClassVar[str] = "identity.login.failed.v1"
    user_id: UUID | None
    name_hash: str | None
    reason: str


class PasswordChanged(UserEvent):
    """The owner changed the password; `session_id` is the caller's own session, which lives on."""

    type: ClassVar[str] = "identity.password.changed.v1"
    session_id: UUID | None


class PasswordResetRequested(UserEvent):
    """Somebody asked for a reset link for this account."""

    type: ClassVar[str] = "identity.password.reset_requested.v1"


class PasswordReset(UserEvent):
    """A mailed link set a new password; every older session ends."""

    type: ClassVar[str] = "identity.password.reset.v1"


class PasswordResetForced(UserEvent):
    """The password is void until the owner sets a new one by mail; every session ends.

    An administrator wanted it, or a change of address was taken back, or somebody else registered
    an address before its owner proved it (then nobody is the actor).
    """

    type: ClassVar[str] = "identity.password.reset_forced.v1"


class VerificationRequested(UserEvent):
    """A new verification link was asked for and sent."""

    type: ClassVar[str] = "identity.verification.requested.v1"


EVENTS: tuple[type[EventData], ...] = (
    UserRegistered,
    UserEmailVerified,
    UserEmailChanged,
    UserUpdated,
    UserDeleted,
    UserRolesChanged,
    UserLocked,
    UserUnlocked,
    UserDisabled,
    UserEnabled,
    LoginSucceeded,
    LoginFailed,
    DeviceAdded,
    PasswordChanged,
    PasswordResetRequested,
    PasswordReset,
    PasswordResetForced,
    VerificationRequested,
)
