"""Reactions to commands and to the facts of others: decode, one call into the intake."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from uuid import UUID

from chassis.bus import Binding, QueueSpec
from chassis.database import Transaction
from chassis.subscriptions import Subscription, data_of
from contracts.audit import SuspiciousActivityDetected
from contracts.commands import (
    SendEmailChangeMail,
    SendEmailChangeNotice,
    SendPasswordResetMail,
    SendSecretMail,
    SendVerificationMail,
)
from contracts.envelope import (
    COMMANDS_EXCHANGE,
    EVENTS_EXCHANGE,
    CloudEvent,
    CommandData,
    EventData,
)
from contracts.identity import (
    DeviceAdded,
    PasswordChanged,
    PasswordReset,
    UserDeleted,
    UserEmailChanged,
    UserEmailVerified,
    UserEvent,
    UserLocked,
    UserRegistered,
    UserUpdated,
)
from contracts.token import RefreshTokenReused
from services.notify.domain.alerts import TOLD_ALREADY, pattern_of
from services.notify.domain.messages import Cause, Template
from services.notify.service.intake import Intake, SecretOrder

# A producer that numbers nothing still comes after a row a command has made (version 0).
_UNVERSIONED = 1


class Reactions:
    """The handlers of every message notify consumes, over one intake."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    async def send_verification_mail(self, tx: Transaction, event: CloudEvent) -> None:
        """Mail a verification link."""
        await self._order(tx, event, Template.VERIFICATION, data_of(event, SendVerificationMail))

    async def send_password_reset_mail(self, tx: Transaction, event: CloudEvent) -> None:
        """Mail a reset link."""
        await self._order(tx, event, Template.PASSWORD_RESET, data_of(event, SendPasswordResetMail))

    async def send_email_change_mail(self, tx: Transaction, event: CloudEvent) -> None:
        """Mail a link to a new address."""
        await self._order(tx, event, Template.EMAIL_CHANGE, data_of(event, SendEmailChangeMail))

    async def send_email_change_notice(self, tx: Transaction, event: CloudEvent) -> None:
        """Mail the present address a link that takes the change back."""
        notice = data_of(event, SendEmailChangeNotice)
        await self._order(tx, event, Template.EMAIL_CHANGE_NOTICE, notice)

    async def user_registered(self, tx: Transaction, event: CloudEvent) -> None:
        """Remember the recipient."""
        data = data_of(event, UserRegistered)
        await self._intake.register(
            tx, data.user_id, email=data.email, username=data.username, version=_version(event)
        )

    async def user_email_verified(self, tx: Transaction, event: CloudEvent) -> None:
        """Welcome the account."""
        data = data_of(event, UserEmailVerified)
        await self._intake.welcome(tx, _cause(event), data.user_id, email=data.email)

    async def user_email_changed(self, tx: Transaction, event: CloudEvent) -> None:
        """Write to the new address from now on, and tell the previous one."""
        data = data_of(event, UserEmailChanged)
        emails = (data.previous_email, data.email)
        await self._intake.change_email(
            tx, _cause(event), data.user_id, emails=emails, version=_version(event)
        )

    async def user_updated(self, tx: Transaction, event: CloudEvent) -> None:
        """Stop greeting by a name that is no longer true."""
        data = data_of(event, UserUpdated)
        if "username" in data.fields:
            await self._intake.forget_username(tx, data.user_id, version=_version(event))

    async def user_locked(self, tx: Transaction, event: CloudEvent) -> None:
        """Tell the owner of an account locked by failures; what admins lock, admins tell."""
        data = data_of(event, UserLocked)
        if data.cause == "failures":
            until = data.locked_until.isoformat() if data.locked_until else None
            facts = {"locked_until": until}
            await self._intake.order_notice(
                tx, _cause(event), Template.ACCOUNT_LOCKED, data.user_id, facts
            )

    async def device_added(self, tx: Transaction, event: CloudEvent) -> None:
        """Tell the owner when and from where; never what the device calls itself."""
        user_id = data_of(event, DeviceAdded).user_id
        facts = {"at": event.time.isoformat(), "address": event.ip}
        await self._intake.order_notice(tx, _cause(event), Template.NEW_DEVICE, user_id, facts)

    async def user_deleted(self, tx: Transaction, event: CloudEvent) -> None:
        """Erase the person."""
        await self._intake.erase(tx, data_of(event, UserDeleted).user_id)

    async def password_reset(self, tx: Transaction, event: CloudEvent) -> None:
        """Tell the owner that a link set a new password."""
        await self._notice(tx, event, PasswordReset, Template.PASSWORD_WAS_RESET)

    async def password_changed(self, tx: Transaction, event: CloudEvent) -> None:
        """Tell the owner that the password is another."""
        await self._notice(tx, event, PasswordChanged, Template.PASSWORD_CHANGED)

    async def refresh_token_reused(self, tx: Transaction, event: CloudEvent) -> None:
        """Tell the owner that a session was ended for safety."""
        user_id = data_of(event, RefreshTokenReused).user_id
        await self._intake.order_notice(tx, _cause(event), Template.SESSION_REUSED, user_id)

    async def suspicious_activity(self, tx: Transaction, event: CloudEvent) -> None:
        """Tell the account concerned, or the security box.

        Of a reused refresh token token's own event tells the owner already, without a detour.
        """
        data = data_of(event, SuspiciousActivityDetected)
        if data.rule == TOLD_ALREADY:
            return
        facts = data.model_dump(mode="json", exclude={"user_id"})
        facts["pattern"] = pattern_of(data.rule)
        if data.user_id is None:
            await self._intake.order_alert(tx, _cause(event), facts)
            return
        await self._intake.order_notice(
            tx, _cause(event), Template.SUSPICIOUS_ACTIVITY, data.user_id, facts
        )

    async def _order(
        self, tx: Transaction, event: CloudEvent, template: Template, command: SendSecretMail
    ) -> None:
        order = SecretOrder(
            user_id=command.user_id,
            email=command.email,
            username=command.username,
            sealed_token=command.sealed_token,
            expires_at=command.expires_at,
        )
        await self._intake.order_secret_mail(tx, _cause(event), template, order)

    async def _notice(
        self, tx: Transaction, event: CloudEvent, model: type[UserEvent], template: Template
    ) -> None:
        user_id: UUID = data_of(event, model).user_id
        await self._intake.order_notice(tx, _cause(event), template, user_id)


_Method = Callable[[Reactions, Transaction, CloudEvent], Awaitable[None]]

REACTIONS: Mapping[str, Mapping[type[EventData], _Method]] = {
    "notify.commands": {
        SendVerificationMail: Reactions.send_verification_mail,
        SendPasswordResetMail: Reactions.send_password_reset_mail,
        SendEmailChangeMail: Reactions.send_email_change_mail,
        SendEmailChangeNotice: Reactions.send_email_change_notice,
    },
    "notify.identity": {
        UserRegistered: Reactions.user_registered,
        UserEmailVerified: Reactions.user_email_verified,
        UserEmailChanged: Reactions.user_email_changed,
        UserUpdated: Reactions.user_updated,
        UserLocked: Reactions.user_locked,
        DeviceAdded: Reactions.device_added,
        UserDeleted: Reactions.user_deleted,
        PasswordReset: Reactions.password_reset,
        PasswordChanged: Reactions.password_changed,
    },
    "notify.token": {RefreshTokenReused: Reactions.refresh_token_reused},
    "notify.audit": {SuspiciousActivityDetected: Reactions.suspicious_activity},
}
"""Per queue: what it is bound to, and what happens on it."""


def queues() -> tuple[QueueSpec, ...]:
    """Return the queues of notify, for whoever must know them before notify has started."""
    return tuple(
        QueueSpec(queue, tuple(Binding(type_.type, _exchange(type_)) for type_ in reactions))
        for queue, reactions in REACTIONS.items()
    )


def subscriptions(reactions: Reactions) -> dict[str, list[Subscription]]:
    """Return the subscriptions of each queue, handled by *reactions*."""
    return {
        queue: [
            Subscription(type_.type, partial(method, reactions), _exchange(type_))
            for type_, method in table.items()
        ]
        for queue, table in REACTIONS.items()
    }


def _exchange(type_: type[EventData]) -> str:
    return COMMANDS_EXCHANGE if issubclass(type_, CommandData) else EVENTS_EXCHANGE


def _cause(event: CloudEvent) -> Cause:
    return Cause(id=event.id, type=event.type, traceparent=event.traceparent)


def _version(event: CloudEvent) -> int:
    return event.subjectversion or _UNVERSIONED
