"""Proving an address: the button behind the mailed link (D10)."""

from chassis.caller import Caller
from chassis.clock import Clock
from chassis.database import Database
from chassis.outbox import Outbox
from contracts.identity import UserEmailVerified
from services.identity.domain.one_time_tokens import EMAIL_CHANGE_MARK, digest_of
from services.identity.errors import TokenInvalid
from services.identity.repository import one_time_tokens, users
from services.identity.service.email_change import EmailChanges


class Verification:
    """Turns a verification token into a verified address, once."""

    def __init__(
        self, database: Database, outbox: Outbox, clock: Clock, *, changes: EmailChanges
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._clock = clock
        self._changes = changes

    async def verify(self, token: str, *, caller: Caller) -> None:
        """Mark the address as proven, or give the account the new address the link was mailed to.

        Pressing twice, or an older link of an address that is proven by now, is no error. Raises
        TokenInvalid for every other token that is not live, AlreadyTaken for a new address that is.
        """
        if token.startswith(EMAIL_CHANGE_MARK):
            await self._changes.confirm(token, caller=caller)
            return
        digest = digest_of(token)
        async with self._database.transaction() as tx:
            owner = await one_time_tokens.find_owner_of_verification(tx, digest)
            user = None if owner is None else await users.find_for_update(tx, owner)
            if user is None:
                raise TokenInvalid
            now = self._clock.now()
            if await one_time_tokens.consume_verification(tx, digest, now=now) is None:
                if not user.is_verified:
                    raise TokenInvalid
                return
            verified = await users.mark_verified(tx, user.id)
            if verified is not None:
                await self._outbox.emit(
                    tx,
                    UserEmailVerified(user_id=user.id, email=user.email),
                    subject=str(user.id),
                    caller=caller,
                    actor=str(user.id),
                    subjectversion=verified.version,
                )
