"""Forced reset: a password nobody may trust any more is void until its owner sets another."""

from chassis.caller import Caller
from chassis.clock import Clock
from chassis.database import Transaction
from chassis.outbox import Outbox
from contracts.identity import PasswordResetForced, PasswordResetRequested, UserEvent
from services.identity.domain.accounts import User
from services.identity.errors import UnknownUser
from services.identity.repository import one_time_tokens, users
from services.identity.service.mails import SecretMails


class ForcedReset:
    """Voids passwords inside the caller's transaction, which holds the account's row.

    Sessions end, device tokens and reset links are void, and so is a change of address that was
    asked for with the password.
    """

    def __init__(self, outbox: Outbox, clock: Clock, *, mails: SecretMails) -> None:
        self._outbox = outbox
        self._clock = clock
        self._mails = mails

    async def void(
        self, tx: Transaction, user: User, *, caller: Caller, actor: str | None = None
    ) -> User:
        """Void the password; whoever calls sees to the mail. Raises UnknownUser."""
        await one_time_tokens.void_resets(tx, user.id, now=self._clock.now())
        changed = await users.update(
            tx,
            user.id,
            password_reset_required=True,
            credentials_epoch=user.credentials_epoch + 1,
        )
        if changed is None:
            raise UnknownUser
        fact = PasswordResetForced(user_id=user.id)
        await self._emit(tx, fact, changed, caller=caller, actor=actor, urgent=True)
        return changed

    async def demand(
        self, tx: Transaction, user: User, *, caller: Caller, actor: str | None = None
    ) -> User:
        """Void the password and mail a link that sets a new one. Raises UnknownUser."""
        changed = await self.void(tx, user, caller=caller, actor=actor)
        await self._mails.send_reset(tx, changed, caller=caller)
        requested = PasswordResetRequested(user_id=user.id)
        await self._emit(tx, requested, changed, caller=caller, actor=actor)
        return changed

    async def _emit(
        self,
        tx: Transaction,
        fact: UserEvent,
        user: User,
        *,
        caller: Caller,
        actor: str | None,
        urgent: bool = False,
    ) -> None:
        await self._outbox.emit(
            tx,
            fact,
            subject=str(user.id),
            caller=caller,
            actor=actor,
            subjectversion=user.version,
            urgent=urgent,
        )
