"""Taking a change of address back: the previous mailbox says that it was not its owner (ADR 0013).

Whoever asked for the change knew the password, so the password is void, every session ends, and
only a link mailed to the previous address sets another.
"""

from chassis.caller import Caller
from chassis.clock import Clock
from chassis.database import Database, Transaction
from chassis.outbox import Outbox
from contracts.identity import UserEmailChanged, UserEmailVerified, UserEvent
from services.identity.domain.accounts import User
from services.identity.domain.email_changes import EmailChange
from services.identity.domain.one_time_tokens import digest_of
from services.identity.errors import TokenInvalid
from services.identity.repository import email_changes, one_time_tokens, users
from services.identity.service.forced_reset import ForcedReset
from services.identity.service.taken import taken_error


class EmailRevert:
    """Gives an account its previous address back and leaves it in a safe state."""

    def __init__(
        self, database: Database, outbox: Outbox, clock: Clock, *, forced_reset: ForcedReset
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._clock = clock
        self._forced_reset = forced_reset

    async def revert(self, token: str, *, caller: Caller) -> None:
        """Undo the change, once, also before it was confirmed.

        Later changes cannot be confirmed or taken back any more. Raises TokenInvalid.
        """
        digest, now = digest_of(token), self._clock.now()
        async with self._database.transaction() as tx:
            owner = await email_changes.find_owner_of_revert(tx, digest)
            user = None if owner is None else await users.find_for_update(tx, owner, renames=True)
            change = await email_changes.revert(tx, digest, now=now)
            if user is None or change is None:
                raise TokenInvalid
            await one_time_tokens.void_verifications(tx, user.id, now=now)
            restored = await self._restore(tx, user, change, caller)
            await self._forced_reset.demand(tx, restored, caller=caller, actor=str(user.id))

    async def _restore(
        self, tx: Transaction, user: User, change: EmailChange, caller: Caller
    ) -> User:
        """Put the address back; pressing the link proves it as well."""
        current = user
        if user.email_folded != change.previous_email_folded:
            names = {
                "email": change.previous_email,
                "email_folded": change.previous_email_folded,
            }
            moved = await users.change_names(tx, user.id, **names)
            if moved is None:
                # Nobody else could get the address: it was held for this link.
                raise taken_error(["email"])
            fact = UserEmailChanged(
                user_id=user.id, email=moved.email, previous_email=user.email, cause="revert"
            )
            await self._emit(tx, fact, moved, caller)
            current = moved
        verified = await users.mark_verified(tx, user.id)
        if verified is not None:
            proven = UserEmailVerified(user_id=user.id, email=verified.email)
            await self._emit(tx, proven, verified, caller)
        return verified or current

    async def _emit(self, tx: Transaction, fact: UserEvent, user: User, caller: Caller) -> None:
        await self._outbox.emit(
            tx,
            fact,
            subject=str(user.id),
            caller=caller,
            actor=str(user.id),
            subjectversion=user.version,
        )
