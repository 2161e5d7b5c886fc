"""Confirmation: somebody who is logged in repeats the password before something that matters."""

from uuid import UUID

from chassis.caller import Caller
from chassis.database import Transaction
from chassis.errors import Problem
from services.identity.domain.accounts import User
from services.identity.errors import (
    AccountDisabled,
    AccountGone,
    HashingOverloaded,
    InvalidCredentials,
    PasswordResetRequired,
)
from services.identity.hashing import Hashing
from services.identity.repository import users
from services.identity.service.attempts import Attempts
from services.identity.service.failures import Attempt


class Confirmation:
    """Verifies the current password of a logged-in user; five wrong ones lock this door alone.

    An access token is good for a moment after its session ended: a void password opens nothing
    here either, or whoever lost the account would set a new one.
    """

    def __init__(self, attempts: Attempts, hashing: Hashing) -> None:
        self.attempts = attempts
        self._hashing = hashing

    async def confirm(
        self, user_id: UUID, password: str, *, caller: Caller
    ) -> tuple[User, Attempt]:
        """Return the account and its attempt, for `settle` in the caller's transaction.

        Raises AccountGone, InvalidCredentials, AccountDisabled, PasswordResetRequired,
        AccountLocked, TooManyAttempts, HashingOverloaded.
        """
        attempt = await self.attempts.begin_confirmation(user_id, caller=caller)
        user = attempt.user
        if user is None:
            raise AccountGone
        try:
            verdict = await self._hashing.verify(user.password_hash, password)
        except HashingOverloaded:
            await self.attempts.release(attempt)
            raise
        if not verdict.is_right:
            await self.attempts.fail(attempt)
            raise InvalidCredentials
        refusal = _refusal(user)
        if refusal is not None:
            await self.attempts.release(attempt)
            raise refusal
        return user, attempt

    async def settle(
        self, tx: Transaction, user: User, attempt: Attempt, *, renames: bool = False
    ) -> User:
        """Return the account as it is now, its row locked as by `find_for_update`.

        Its failures are forgotten. Raises InvalidCredentials when the password is
        another by now, AccountDisabled.
        """
        await self.attempts.succeed(tx, attempt)
        current = await users.find_for_update(tx, user.id, renames=renames)
        if current is None or current.credentials_epoch != user.credentials_epoch:
            raise InvalidCredentials
        refusal = _refusal(current)
        if refusal is not None:
            raise refusal
        return current


def _refusal(user: User) -> Problem | None:
    """Say why the right password is not enough, if so."""
    if not user.is_usable:
        return AccountDisabled()
    return PasswordResetRequired() if user.password_reset_required else None
