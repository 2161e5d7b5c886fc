"""From commands and facts to rows of the ledger, inside the consumer's transaction."""

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from chassis.clock import Clock
from chassis.database import Transaction
from chassis.ids import first_uuid7, uuid7
from chassis.inbox_rows import forget_person
from chassis.logs import get_logger
from chassis.outbox import Outbox
from services.notify.domain.messages import (
    Cause,
    Order,
    Reason,
    Recipient,
    State,
    Template,
    Verdict,
)
from services.notify.errors import RecipientUnknown
from services.notify.models import inbox
from services.notify.repository import inbox_messages, ledger, recipients
from services.notify.service.announcements import announce

SECURITY_MAILS_PER_HOUR = 30
"""How many alerts are mailed to the security box: who attacks in many ways must not bury it."""

_HOUR = timedelta(hours=1)
log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretOrder:
    """What a command asks for: a mail with a one-time token, to the address it names."""

    user_id: UUID
    email: str
    username: str
    sealed_token: str
    expires_at: datetime


class Intake:
    """Takes orders for mails and keeps the recipients.

    *due* is set after a commit that left something to send; *security_email* gets the alerts that
    concern no account.
    """

    def __init__(
        self, *, outbox: Outbox, clock: Clock, due: asyncio.Event, security_email: str | None
    ) -> None:
        self._outbox = outbox
        self._clock = clock
        self._due = due
        self._security_email = security_email
        self._missed_before = False

    async def order_secret_mail(
        self, tx: Transaction, cause: Cause, template: Template, order: SecretOrder
    ) -> None:
        """Write down a mail with a token; for an erased user, that it will not be sent."""
        recipient = await recipients.lock_named(tx, order.user_id, username=order.username)
        await self._add(
            tx,
            Order(
                cause=cause,
                template=template,
                recipient=None if recipient.erased else order.email,
                recipient_name=None if recipient.erased else order.username,
                user_id=order.user_id,
                sealed_token=order.sealed_token,
                expires_at=order.expires_at,
            ),
        )

    async def order_notice(
        self,
        tx: Transaction,
        cause: Cause,
        template: Template,
        user_id: UUID,
        facts: dict[str, Any] | None = None,
    ) -> None:
        """Write down a mail without a secret to the account's address; none for the erased.

        Raises RecipientUnknown while nothing is known of the account: the fact is tried again.
        """
        recipient = await _known(tx, user_id)
        if recipient.erased:
            return
        if recipient.email is None:
            raise RecipientUnknown
        await self._notify(tx, cause, template, recipient, facts=facts)

    async def order_alert(
        self,
        tx: Transaction,
        cause: Cause,
        facts: dict[str, Any],
    ) -> None:
        """Write down a mail to the security box; without one the log says so once.

        Beyond so many within an hour the log alone tells: audit lists every alert.
        """
        if self._security_email is None:
            if not self._missed_before:
                log.warning("alert.not_mailed", reason="security_email_not_set")
            self._missed_before = True
            return
        if await self._is_flooded(tx):
            log.warning("alert.not_mailed", reason="too_many_within_an_hour")
            return
        order = Order(
            cause=cause,
            template=Template.SECURITY_ALERT,
            recipient=self._security_email,
            facts=facts,
        )
        await self._add(tx, order)

    async def register(
        self, tx: Transaction, user_id: UUID, *, email: str, username: str, version: int
    ) -> None:
        """Remember where a new account's mails go."""
        await recipients.mark_registered(
            tx, user_id, email=email, username=username, version=version
        )

    async def welcome(self, tx: Transaction, cause: Cause, user_id: UUID, *, email: str) -> None:
        """Welcome an account, the first time one of its addresses is confirmed.

        Raises RecipientUnknown.
        """
        recipient = await _known(tx, user_id)
        if await recipients.mark_welcomed(tx, user_id):
            await self._notify(tx, cause, Template.WELCOME, replace(recipient, email=email))

    async def change_email(
        self, tx: Transaction, cause: Cause, user_id: UUID, *, emails: tuple[str, str], version: int
    ) -> None:
        """Remember the second of *emails* as the account's address, and tell the first."""
        previous, new = emails
        await recipients.mark_email(tx, user_id, email=new, version=version)
        recipient = await _known(tx, user_id)
        if not recipient.erased:
            await self._notify(
                tx, cause, Template.EMAIL_CHANGED, replace(recipient, email=previous)
            )

    async def forget_username(self, tx: Transaction, user_id: UUID, *, version: int) -> None:
        """Greet the account without a name until a newer one is known."""
        await recipients.forget_username(tx, user_id, version=version)

    async def erase(self, tx: Transaction, user_id: UUID) -> None:
        """Leave nothing of a person; mails that wait are suppressed, late facts have no effect."""
        await recipients.erase(tx, user_id)
        await inbox_messages.erase_user(tx, user_id)
        await forget_person(tx, inbox, user_id)
        verdict = Verdict(State.SUPPRESSED, Reason.RECIPIENT_ERASED)
        for message in await ledger.erase_user(tx, user_id):
            await announce(self._outbox, tx, message, verdict)

    async def _is_flooded(self, tx: Transaction) -> bool:
        mailed = await ledger.count_newest(
            tx,
            Template.SECURITY_ALERT,
            after=first_uuid7(self._clock.now() - _HOUR),
            most=SECURITY_MAILS_PER_HOUR,
        )
        return mailed >= SECURITY_MAILS_PER_HOUR

    async def _notify(
        self,
        tx: Transaction,
        cause: Cause,
        template: Template,
        recipient: Recipient,
        *,
        facts: dict[str, Any] | None = None,
    ) -> None:
        order = Order(
            cause=cause,
            template=template,
            recipient=recipient.email,
            recipient_name=recipient.username,
            user_id=recipient.user_id,
            facts=facts or {},
        )
        await self._add(tx, order)

    async def _add(self, tx: Transaction, order: Order) -> None:
        await ledger.add(tx, uuid7(self._clock), order)
        tx.after_commit(self._due.set)


async def _known(tx: Transaction, user_id: UUID) -> Recipient:
    recipient = await recipients.find_locked(tx, user_id)
    if recipient is None:
        raise RecipientUnknown
    return recipient
