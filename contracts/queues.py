"""The platform's own durable queues and what each is bound to.

Every producer declares them before it publishes, so that nothing published before a consumer's
very first start is missed. Queues of other services are theirs to declare.
"""

from collections.abc import Mapping

from contracts.audit import SuspiciousActivityDetected
from contracts.commands import (
    SendEmailChangeMail,
    SendEmailChangeNotice,
    SendPasswordResetMail,
    SendVerificationMail,
)
from contracts.envelope import COMMANDS_EXCHANGE, EVENTS_EXCHANGE, EventData
from contracts.identity import (
    DeviceAdded,
    PasswordChanged,
    PasswordReset,
    PasswordResetForced,
    UserDeleted,
    UserDisabled,
    UserEmailChanged,
    UserEmailVerified,
    UserLocked,
    UserRegistered,
    UserRolesChanged,
    UserUpdated,
)
from contracts.token import RefreshTokenReused


def _events(*types: type[EventData]) -> tuple[tuple[str, str], ...]:
    return tuple((EVENTS_EXCHANGE, event.type) for event in types)


PLATFORM_QUEUES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "audit.events": ((EVENTS_EXCHANGE, "#"),),
    "token.identity": _events(
        PasswordReset,
        PasswordResetForced,
        PasswordChanged,
        UserLocked,
        UserDisabled,
        UserDeleted,
        UserRolesChanged,
    ),
    "notify.commands": (
        (COMMANDS_EXCHANGE, SendVerificationMail.type),
        (COMMANDS_EXCHANGE, SendPasswordResetMail.type),
        (COMMANDS_EXCHANGE, SendEmailChangeMail.type),
        (COMMANDS_EXCHANGE, SendEmailChangeNotice.type),
    ),
    "notify.identity": _events(
        UserRegistered,
        UserEmailVerified,
        UserEmailChanged,
        UserUpdated,
        UserLocked,
        DeviceAdded,
        UserDeleted,
        PasswordReset,
        PasswordChanged,
    ),
    "notify.token": _events(RefreshTokenReused),
    "notify.audit": _events(SuspiciousActivityDetected),
}
"""Queue name → pairs of exchange and routing key."""
