"""Requests for a mail: written by anybody, dealt with by a worker (D10).

The request itself costs the same whether the address is known or not; only the worker looks.
"""

import asyncio
from datetime import timedelta
from uuid import UUID

from chassis.background import Background
from chassis.caller import Caller
from chassis.clock import Clock
from chassis.database import Database, DatabaseUnavailable, Transaction
from chassis.ids import uuid7
from chassis.logs import get_logger
from chassis.outbox import Outbox
from contracts.identity import PasswordResetRequested, VerificationRequested
from services.identity.domain.accounts import User
from services.identity.domain.mail_requests import (
    Mail,
    MailLimit,
    MailRequest,
    RequestKind,
    RequestOutcome,
    is_contested,
    mail_for,
)
from services.identity.name_keys import NameKeys
from services.identity.repository import email_changes, mail_requests, users
from services.identity.service.forced_reset import ForcedReset
from services.identity.service.mails import SecretMails

_POLL = timedelta(milliseconds=500)
_RETRY = timedelta(seconds=1)
log = get_logger(__name__)


class MailRequests:
    """Takes requests for reset and verification mails."""

    def __init__(self, database: Database, clock: Clock, *, keys: NameKeys) -> None:
        self.added = asyncio.Event()
        self._database = database
        self._clock = clock
        self._keys = keys

    async def request(self, kind: RequestKind, email_folded: str, *, caller: Caller) -> None:
        """Store a request in a transaction of its own."""
        async with self._database.transaction() as tx:
            await self.add(tx, kind, email_folded, caller=caller)

    async def add(
        self,
        tx: Transaction,
        kind: RequestKind,
        email_folded: str,
        *,
        caller: Caller,
        request_id: UUID | None = None,
    ) -> None:
        """Store a request in *tx*; the worker is woken after the commit."""
        request = MailRequest(
            id=request_id or uuid7(self._clock),
            kind=kind,
            mailbox=email_folded,
            mailbox_key=self._keys.of_mailbox(email_folded),
            ip=caller.client_address,
            user_agent=caller.user_agent,
            request_id=caller.request_id,
            traceparent=caller.traceparent,
        )
        await mail_requests.add(tx, request, now=self._clock.now())
        tx.after_commit(self.added.set)


class MailRequestWorker:
    """Looks up who asked and orders the mail, within *limit* per mailbox."""

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        clock: Clock,
        *,
        mails: SecretMails,
        forced_reset: ForcedReset,
        limit: MailLimit,
        added: asyncio.Event,
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._clock = clock
        self._mails = mails
        self._forced_reset = forced_reset
        self._limit = limit
        self._added = added

    def start(self, background: Background) -> None:
        """Work until *background* stops; a request begun is finished."""
        background.start("mail_requests", lambda: self._run(background), graceful=True)

    async def settle_one(self) -> bool:
        """Deal with the oldest waiting request; False when there is none."""
        async with self._database.transaction() as tx:
            request = await mail_requests.claim_waiting(tx)
            if request is None:
                return False
            outcome = await self._settle(tx, request)
            await mail_requests.mark_done(tx, request.id, outcome, now=self._clock.now())
        log.info("mail_request.settled", kind=str(request.kind), outcome=str(outcome))
        return True

    async def _settle(self, tx: Transaction, request: MailRequest) -> RequestOutcome:
        if request.kind is RequestKind.EMAIL_CHANGE:
            return await self._settle_change(tx, request)
        user = await users.find_by_mailbox(tx, request.mailbox)
        if user is None:
            return RequestOutcome.UNKNOWN
        caller = _caller(request)
        if request.kind is RequestKind.REGISTRATION and is_contested(user):
            user = await self._forced_reset.void(tx, user, caller=caller)
        mail = mail_for(request.kind, user)
        if mail is None:
            return RequestOutcome.NOT_NEEDED
        if await self._is_over_limit(tx, request):
            return RequestOutcome.LIMITED
        await self._answer(tx, mail, user, caller)
        return RequestOutcome.MAILED

    async def _settle_change(self, tx: Transaction, request: MailRequest) -> RequestOutcome:
        """Mail the new address of a change, whoever has it: its mailbox alone may know."""
        change = await email_changes.find(tx, request.id)
        user = None if change is None else await users.find_for_update(tx, change.user_id)
        if change is None or user is None or not change.may_happen_to(user):
            return RequestOutcome.NOT_NEEDED
        if await self._is_over_limit(tx, request):
            return RequestOutcome.LIMITED
        mailed = await self._mails.send_email_change(tx, user, change, caller=_caller(request))
        return RequestOutcome.MAILED if mailed else RequestOutcome.NOT_NEEDED

    async def _is_over_limit(self, tx: Transaction, request: MailRequest) -> bool:
        return await mail_requests.is_over_limit(
            tx, request.mailbox_key, self._limit, now=self._clock.now()
        )

    async def _answer(self, tx: Transaction, mail: Mail, user: User, caller: Caller) -> None:
        fact: PasswordResetRequested | VerificationRequested
        if mail is Mail.RESET:
            fact = PasswordResetRequested(user_id=user.id)
            await self._mails.send_reset(tx, user, caller=caller)
        else:
            fact = VerificationRequested(user_id=user.id)
            await self._mails.send_verification(tx, user, caller=caller)
        await self._outbox.emit(
            tx, fact, subject=str(user.id), caller=caller, subjectversion=user.version
        )

    async def _run(self, background: Background) -> None:
        while not background.stopping.is_set():
            try:
                settled = await self.settle_one()
            except DatabaseUnavailable:
                await background.pause(_RETRY)
                continue
            if not settled:
                await background.pause(_POLL, self._added)


def _caller(request: MailRequest) -> Caller:
    """Return on whose behalf the worker acts: whoever asked, anonymous as they were."""
    return Caller(
        issuer="identity",
        client_address=request.ip,
        user_agent=request.user_agent,
        request_id=request.request_id,
        traceparent=request.traceparent,
    )
