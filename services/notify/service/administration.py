"""The ledger as administrators see it, and sending a mail again."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from chassis.caller import Caller
from chassis.clock import Clock
from chassis.database import Database, Transaction
from chassis.ids import uuid7
from chassis.logs import get_logger
from services.notify.domain.messages import Cause, Message, Order, Resend, decide_resend
from services.notify.errors import (
    AdminOnly,
    MessageNotFound,
    MessageNotResendable,
    NotLoggedIn,
)
from services.notify.repository import ledger
from services.notify.repository.ledger import LedgerFilter

RESEND_TYPE = "notify.admin.resend"

log = get_logger(__name__)


class Administration:
    """Shows the ledger to administrators; *due* is set when there is something to send."""

    def __init__(self, *, database: Database, clock: Clock, due: asyncio.Event) -> None:
        self._database = database
        self._clock = clock
        self._due = due

    async def list_messages(
        self, caller: Caller, wanted: LedgerFilter, *, limit: int
    ) -> Sequence[Message]:
        """Return at most *limit* mails, newest first. Raises NotLoggedIn, AdminOnly."""
        _require_admin(caller)
        async with self._database.transaction() as tx:
            return await ledger.list_messages(tx, wanted, limit=limit)

    async def resend(self, caller: Caller, message_id: UUID) -> Message:
        """Send a mail again (the rule is `domain.decide_resend`); return the mail to be sent.

        A waiting mail is only hastened; a settled one is written anew, under a new Message-ID.
        Raises NotLoggedIn, AdminOnly, MessageNotFound, MessageNotResendable.
        """
        _require_admin(caller)
        async with self._database.transaction() as tx:
            message = await ledger.find_for_update(tx, message_id)
            if message is None:
                raise MessageNotFound
            decision = decide_resend(message, now=self._clock.now())
            if decision is Resend.REFUSE:
                raise MessageNotResendable
            if decision is Resend.COPY:
                message = await self._copy(tx, caller, message)
            else:
                await ledger.hasten(tx, message_id)
            tx.after_commit(self._due.set)
        log.info("message.resend_ordered", message_id=str(message_id), actor=caller.actor)
        return message

    async def _copy(self, tx: Transaction, caller: Caller, message: Message) -> Message:
        cause = Cause(
            id=uuid7(self._clock),
            type=RESEND_TYPE,
            traceparent=caller.traceparent,
            actor=caller.actor,
        )
        order = Order(
            cause=cause,
            template=message.template,
            recipient=message.recipient,
            recipient_name=message.recipient_name,
            user_id=message.user_id,
            facts=message.facts,
        )
        copy = await ledger.add(tx, uuid7(self._clock), order)
        assert copy is not None  # noqa: S101 - its cause is new: nothing can be in its way
        return copy


def _require_admin(caller: Caller) -> None:
    if caller.principal is None:
        raise NotLoggedIn
    if "admin" not in caller.principal.roles:
        raise AdminOnly
