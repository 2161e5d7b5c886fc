"""Confirmation: somebody who is logged in repeats the password before something that matters."""

from uuid import UUID

from chassis.caller import Caller
from services.identity.domain.accounts import User
from services.identity.errors import AccountGone, HashingOverloaded, InvalidCredentials
from services.identity.hashing import Hashing
from services.identity.service.attempts import Attempts
from services.identity.service.failures import Attempt


class Confirmation:
    """Verifies the current password of a logged-in user; five wrong ones lock this door alone."""

    def __init__(self, attempts: Attempts, hashing: Hashing) -> None:
        self.attempts = attempts
        self._hashing = hashing

    async def confirm(
        self, user_id: UUID, password: str, *, caller: Caller
    ) -> tuple[User, Attempt]:
        """Return the account and its attempt, which the caller settles in its transaction.

        Raises AccountGone, InvalidCredentials, AccountLocked, TooManyAttempts, HashingOverloaded.
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
        return user, attempt
