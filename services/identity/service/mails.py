"""One-time tokens on their way to their owner: stored by hash, sent sealed (D10, D16)."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from chassis.caller import Caller
from chassis.clock import Clock
from chassis.crypto import seal
from chassis.database import Transaction
from chassis.ids import uuid7
from chassis.outbox import Outbox
from contracts.commands import (
    SendEmailChangeMail,
    SendEmailChangeNotice,
    SendPasswordResetMail,
    SendSecretMail,
    SendVerificationMail,
)
from services.identity.domain.accounts import NewUser, User
from services.identity.domain.email_changes import EmailChange
from services.identity.domain.one_time_tokens import (
    CHANGE_LIFE,
    RESET_LIFE,
    VERIFICATION_LIFE,
    OneTimeToken,
)
from services.identity.repository import email_changes, one_time_tokens


class SecretMails:
    """Makes tokens and orders the mails that carry them, inside the caller's transaction.

    *keys* are shared with notify, which opens the seal at the moment it writes the mail.
    """

    def __init__(self, outbox: Outbox, keys: Sequence[bytes], clock: Clock) -> None:
        self._outbox = outbox
        self._keys = tuple(keys)
        self._clock = clock

    async def send_verification(
        self, tx: Transaction, user: User | NewUser, *, caller: Caller | None
    ) -> None:
        """Mail a link that proves the address; older links are void."""
        token = OneTimeToken.verification()
        stored = self._stored(user, token, VERIFICATION_LIFE)
        await one_time_tokens.add_verification(tx, stored)
        await self._send(
            tx, SendVerificationMail, user, token=token, expires_at=stored.expires_at, caller=caller
        )

    async def send_reset(self, tx: Transaction, user: User, *, caller: Caller | None) -> None:
        """Mail a link that allows a new password; *tx* holds the account's row."""
        token = OneTimeToken.reset()
        stored = self._stored(user, token, RESET_LIFE)
        await one_time_tokens.add_reset(tx, stored)
        await self._send(
            tx,
            SendPasswordResetMail,
            user,
            token=token,
            expires_at=stored.expires_at,
            caller=caller,
        )

    async def send_email_change(
        self, tx: Transaction, user: User, change: EmailChange, *, caller: Caller | None
    ) -> bool:
        """Mail the new address a link that confirms *change*; False when it is void by now."""
        token = OneTimeToken.email_change()
        now = self._clock.now()
        if not await email_changes.set_token(tx, change.id, token.digest, now=now):
            return False
        await self._send(
            tx,
            SendEmailChangeMail,
            replace(user, email=change.email),
            token=token,
            expires_at=change.expires_at,
            caller=caller,
        )
        return True

    async def send_email_change_notice(
        self,
        tx: Transaction,
        user: User,
        token: OneTimeToken,
        *,
        expires_at: datetime,
        caller: Caller,
    ) -> None:
        """Mail the present address the link that takes a change back."""
        await self._send(
            tx, SendEmailChangeNotice, user, token=token, expires_at=expires_at, caller=caller
        )

    async def hand_out_reset(self, tx: Transaction, user: User) -> OneTimeToken:
        """Return a short-lived reset token to somebody who just gave the right password."""
        token = OneTimeToken.reset()
        await one_time_tokens.add_reset(tx, self._stored(user, token, CHANGE_LIFE))
        return token

    def _stored(
        self, user: User | NewUser, token: OneTimeToken, life: timedelta
    ) -> one_time_tokens.NewToken:
        now = self._clock.now()
        return one_time_tokens.NewToken(
            id=uuid7(self._clock),
            user_id=user.id,
            digest=token.digest,
            created_at=now,
            expires_at=now + life,
        )

    async def _send(
        self,
        tx: Transaction,
        command: type[SendSecretMail],
        user: User | NewUser,
        *,
        token: OneTimeToken,
        expires_at: datetime,
        caller: Caller | None,
    ) -> None:
        command_id = uuid7(self._clock)
        context = f"{command.type}:{command_id}"
        order = command(
            user_id=user.id,
            email=user.email,
            username=user.username,
            sealed_token=seal(self._keys, token.secret.encode(), context=context),
            expires_at=expires_at,
        )
        await self._outbox.send(tx, order, caller=caller, command_id=command_id)
