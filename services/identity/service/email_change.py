"""Change of address: asked for with the password, confirmed by the new mailbox (D10, ADR 0013).

The request writes and answers the same whoever has the new address: only its mailbox learns
whether it is taken. The previous mailbox can take the change back for a week.
"""

from chassis.caller import Caller, Principal
from chassis.clock import Clock
from chassis.database import Database, Transaction
from chassis.errors import FieldError, InvalidInput, Problem
from chassis.ids import uuid7
from chassis.outbox import Outbox
from contracts.identity import UserEmailChanged, UserEmailVerified, UserEvent
from services.identity.domain.accounts import User
from services.identity.domain.email_changes import (
    CONFIRMATION_LIFE,
    MAX_CHANGES,
    REVERT_LIFE,
    WINDOW,
    EmailChange,
    NewEmailChange,
)
from services.identity.domain.lockout import whole_seconds
from services.identity.domain.mail_requests import RequestKind
from services.identity.domain.names import EmailAddress
from services.identity.domain.one_time_tokens import OneTimeToken, digest_of
from services.identity.errors import TokenInvalid, TooManyEmailChanges
from services.identity.repository import email_changes, one_time_tokens, users
from services.identity.service.confirmation import Confirmation
from services.identity.service.mail_requests import MailRequests
from services.identity.service.mails import SecretMails
from services.identity.service.taken import refuse_taken, taken_error


class EmailChanges:
    """Gives accounts another address once that address says so."""

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        clock: Clock,
        *,
        confirmation: Confirmation,
        requests: MailRequests,
        mails: SecretMails,
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._clock = clock
        self._confirmation = confirmation
        self._requests = requests
        self._mails = mails

    async def request(
        self, principal: Principal, email: EmailAddress, password: str, *, caller: Caller
    ) -> None:
        """Mail both addresses; nothing changes yet.

        Raises InvalidInput for the present address, TooManyEmailChanges, and what Confirmation
        does.
        """
        user, attempt = await self._confirmation.confirm(principal.user_id, password, caller=caller)
        async with self._database.transaction() as tx:
            before = await self._confirmation.settle(tx, user, attempt)
            refusal = await self._refusal(tx, before, email)
            if refusal is None:
                await self._store(tx, before, email, caller)
        if refusal is not None:
            raise refusal

    async def confirm(self, token: str, *, caller: Caller) -> None:
        """Give the account the address the link was mailed to.

        Pressing twice is no error. Raises TokenInvalid, AlreadyTaken.
        """
        digest, now = digest_of(token), self._clock.now()
        async with self._database.transaction() as tx:
            known = await email_changes.find_by_token(tx, digest)
            owner = None if known is None else known.user_id
            user = await users.find_for_update(tx, owner, renames=True) if owner else None
            change = await email_changes.confirm(tx, digest, now=now)
            if user is not None and change is not None and change.may_happen_to(user):
                await self._apply(tx, user, change, caller)
                return
            # Read again: another request may have had the account's row until now.
            settled = await email_changes.find_by_token(tx, digest)
            if user is None or settled is None or not settled.has_happened_to(user):
                raise TokenInvalid

    async def _refusal(self, tx: Transaction, user: User, email: EmailAddress) -> Problem | None:
        if email.folded == user.email_folded:
            error = FieldError("/email", "email_unchanged", "The account has this address.")
            return InvalidInput(errors=[error])
        now = self._clock.now()
        moments = await email_changes.list_moments(tx, user.id, since=now - WINDOW)
        if len(moments) >= MAX_CHANGES:
            wait = moments[-MAX_CHANGES] + WINDOW - now
            return TooManyEmailChanges(retry_after=whole_seconds(wait))
        return None

    async def _store(
        self, tx: Transaction, user: User, email: EmailAddress, caller: Caller
    ) -> None:
        now, revert = self._clock.now(), OneTimeToken.email_revert()
        change = NewEmailChange(
            id=uuid7(self._clock),
            user_id=user.id,
            email=email.text,
            email_folded=email.folded,
            previous_email=user.email,
            previous_email_folded=user.email_folded,
            credentials_epoch=user.credentials_epoch,
            requested_at=now,
            expires_at=now + CONFIRMATION_LIFE,
            revert_hash=revert.digest,
            revert_expires_at=now + REVERT_LIFE,
        )
        await email_changes.add(tx, change)
        await self._mails.send_email_change_notice(
            tx, user, revert, expires_at=change.revert_expires_at, caller=caller
        )
        await self._requests.add(
            tx, RequestKind.EMAIL_CHANGE, email.folded, caller=caller, request_id=change.id
        )

    async def _apply(
        self, tx: Transaction, before: User, change: EmailChange, caller: Caller
    ) -> None:
        """Move the account; links mailed to the previous address open nothing any more."""
        now = self._clock.now()
        await refuse_taken(tx, email_folded=change.email_folded, except_for=before.id, now=now)
        await one_time_tokens.void_resets(tx, before.id, now=now)
        await one_time_tokens.void_verifications(tx, before.id, now=now)
        after = await users.change_names(
            tx, before.id, email=change.email, email_folded=change.email_folded
        )
        if after is None:
            raise taken_error(["email"])
        changed = UserEmailChanged(user_id=after.id, email=after.email, previous_email=before.email)
        await self._emit(tx, changed, after, caller)
        verified = await users.mark_verified(tx, after.id)
        if verified is not None:
            proven = UserEmailVerified(user_id=after.id, email=after.email)
            await self._emit(tx, proven, verified, caller)

    async def _emit(self, tx: Transaction, fact: UserEvent, user: User, caller: Caller) -> None:
        await self._outbox.emit(
            tx,
            fact,
            subject=str(user.id),
            caller=caller,
            actor=str(user.id),
            subjectversion=user.version,
        )
