"""Identity's facts about users, as token reacts to them: by AMQP and by push, once (D25)."""

from collections.abc import Callable

from chassis.database import Transaction
from chassis.subscriptions import Subscription, Unprocessable, data_of
from contracts.envelope import CloudEvent
from contracts.identity import (
    PasswordChanged,
    PasswordReset,
    PasswordResetForced,
    UserDeleted,
    UserDisabled,
    UserLocked,
    UserRolesChanged,
)
from services.token.domain.subjects import SubjectChange
from services.token.service.subject_changes import SubjectChanges

QUEUE = "token.identity"

Decode = Callable[[CloudEvent], SubjectChange | None]


def subscriptions(changes: SubjectChanges) -> list[Subscription]:
    """Return the table of event types and what each does."""
    return [
        _on(PasswordReset.type, changes, _password_reset),
        _on(PasswordResetForced.type, changes, _password_reset_forced),
        _on(PasswordChanged.type, changes, _password_changed),
        _on(UserLocked.type, changes, _locked),
        _on(UserDisabled.type, changes, _disabled),
        _on(UserDeleted.type, changes, _deleted),
        _on(UserRolesChanged.type, changes, _roles_changed),
    ]


def _on(type_: str, changes: SubjectChanges, decode: Decode) -> Subscription:
    async def handle(tx: Transaction, event: CloudEvent) -> None:
        change = decode(event)
        if change is not None:
            await changes.apply(tx, change, actor=event.actor)

    return Subscription(type_, handle)


def _password_reset(event: CloudEvent) -> SubjectChange:
    data = data_of(event, PasswordReset)
    return SubjectChange(
        user_id=data.user_id, version=_version(event), ends_sessions="password_reset"
    )


def _password_reset_forced(event: CloudEvent) -> SubjectChange:
    data = data_of(event, PasswordResetForced)
    return SubjectChange(
        user_id=data.user_id, version=_version(event), ends_sessions="password_reset_forced"
    )


def _password_changed(event: CloudEvent) -> SubjectChange:
    data = data_of(event, PasswordChanged)
    return SubjectChange(
        user_id=data.user_id,
        version=_version(event),
        ends_sessions="password_changed",
        kept_session=data.session_id,
    )


def _locked(event: CloudEvent) -> SubjectChange | None:
    data = data_of(event, UserLocked)
    if data.cause != "admin":
        return None  # a stranger's failed logins must not end anybody's session
    return SubjectChange(
        user_id=data.user_id,
        version=_version(event),
        status="locked",
        ends_sessions="user_locked",
    )


def _disabled(event: CloudEvent) -> SubjectChange:
    data = data_of(event, UserDisabled)
    return SubjectChange(
        user_id=data.user_id,
        version=_version(event),
        status="disabled",
        ends_sessions="user_disabled",
    )


def _deleted(event: CloudEvent) -> SubjectChange:
    data = data_of(event, UserDeleted)
    return SubjectChange(
        user_id=data.user_id,
        version=_version(event),
        status="deleted",
        ends_sessions="user_deleted",
        erases=True,
    )


def _roles_changed(event: CloudEvent) -> SubjectChange:
    data = data_of(event, UserRolesChanged)
    return SubjectChange(user_id=data.user_id, version=_version(event), roles=frozenset(data.roles))


def _version(event: CloudEvent) -> int:
    if event.subjectversion is None:
        raise Unprocessable("subjectversion is missing")
    return event.subjectversion
