"""Password reset: a mailed link sets a new password and ends every session (D10, D24)."""

from chassis.caller import Caller
from chassis.clock import Clock
from chassis.database import Database, Transaction
from chassis.outbox import Outbox
from contracts.identity import PasswordReset as PasswordWasReset
from contracts.identity import UserEmailVerified, UserEvent, UserUnlocked
from services.identity.domain.accounts import User
from services.identity.domain.one_time_tokens import digest_of
from services.identity.errors import TokenInvalid
from services.identity.hashing import Priority
from services.identity.passwords import Person
from services.identity.repository import counters, one_time_tokens, users
from services.identity.service.choosing import PasswordChoice


class PasswordReset:
    """Turns a reset token into a new password, once; nobody is logged in by it."""

    def __init__(
        self, database: Database, outbox: Outbox, clock: Clock, *, choice: PasswordChoice
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._clock = clock
        self._choice = choice

    async def complete(self, token: str, new_password: str, *, caller: Caller) -> None:
        """Set the password: a failure lock is cleared, every other reset token void.

        The token is spent only together with a password that passes. Raises TokenInvalid,
        InvalidInput, HashingOverloaded.
        """
        digest = digest_of(token)
        user = await self._owner(digest)
        person = Person(user.username, user.email)
        self._choice.check(new_password, person, pointer="/new_password")
        password_hash = await self._choice.hash(new_password, Priority.RESET)
        async with self._database.transaction() as tx:
            was_locked = await counters.forget(tx, user.id, now=self._clock.now())
            before = await users.find_for_update(tx, user.id)
            spent = await one_time_tokens.consume_reset(tx, digest, now=self._clock.now())
            after = await users.set_password(tx, user.id, password_hash, locked_until=None)
            if before is None or spent is None or after is None:
                raise TokenInvalid
            if not before.is_verified:
                # Whoever follows the mailed link has proven the address as well.
                await users.mark_verified(tx, user.id)
            await self._announce(tx, before, after, caller, was_locked=was_locked)

    async def _owner(self, digest: bytes) -> User:
        async with self._database.transaction() as tx:
            owner = await one_time_tokens.find_owner_of_live_reset(
                tx, digest, now=self._clock.now()
            )
            user = None if owner is None else await users.find(tx, owner)
        if user is None:
            raise TokenInvalid
        return user

    async def _announce(
        self, tx: Transaction, before: User, after: User, caller: Caller, *, was_locked: bool
    ) -> None:
        version = after.version
        await self._emit(tx, PasswordWasReset(user_id=after.id), version, caller, urgent=True)
        if not before.is_verified:
            version += 1
            fact = UserEmailVerified(user_id=after.id, email=after.email)
            await self._emit(tx, fact, version, caller)
        if was_locked:
            unlocked = UserUnlocked(user_id=after.id, cause="reset")
            await self._emit(tx, unlocked, version, caller)

    async def _emit(
        self,
        tx: Transaction,
        fact: UserEvent,
        version: int,
        caller: Caller,
        *,
        urgent: bool = False,
    ) -> None:
        await self._outbox.emit(
            tx,
            fact,
            subject=str(fact.user_id),
            caller=caller,
            actor=str(fact.user_id),
            subjectversion=version,
            urgent=urgent,
        )
