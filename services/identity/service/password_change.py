"""Password change: the owner knows the current one, and keeps only this session (D24)."""

from chassis.caller import Caller, Principal
from chassis.clock import Clock
from chassis.database import Database
from chassis.errors import FieldError, InvalidInput
from chassis.outbox import Outbox
from contracts.identity import PasswordChanged
from services.identity.domain.accounts import User
from services.identity.errors import AccountGone
from services.identity.hashing import Priority
from services.identity.passwords import Person, normalized
from services.identity.repository import one_time_tokens, users
from services.identity.service.choosing import PasswordChoice
from services.identity.service.confirmation import Confirmation


class PasswordChange:
    """Replaces the password of somebody who is logged in."""

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        clock: Clock,
        *,
        choice: PasswordChoice,
        confirmation: Confirmation,
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._clock = clock
        self._choice = choice
        self._confirmation = confirmation

    async def change(
        self, principal: Principal, current: str, new_password: str, *, caller: Caller
    ) -> None:
        """Set the new password; token ends the other sessions, device tokens are void.

        Raises InvalidInput, and what Confirmation does.
        """
        await self._check(principal, current, new_password)
        user, attempt = await self._confirmation.confirm(principal.user_id, current, caller=caller)
        password_hash = await self._choice.hash(new_password, Priority.RESET)
        async with self._database.transaction() as tx:
            await self._confirmation.settle(tx, user, attempt)
            await one_time_tokens.void_resets(tx, user.id, now=self._clock.now())
            after = await users.set_password(tx, user.id, password_hash)
            if after is None:
                raise AccountGone
            await self._outbox.emit(
                tx,
                PasswordChanged(user_id=user.id, session_id=principal.session_id),
                subject=str(user.id),
                caller=caller,
                subjectversion=after.version,
                urgent=True,
            )

    async def _check(self, principal: Principal, current: str, new_password: str) -> None:
        user = await self._find(principal)
        person = Person(user.username, user.email)
        self._choice.check(new_password, person, pointer="/new_password")
        if normalized(current) == normalized(new_password):
            error = FieldError("/new_password", "password_unchanged", "Choose a different one.")
            raise InvalidInput(errors=[error])

    async def _find(self, principal: Principal) -> User:
        async with self._database.transaction() as tx:
            user = await users.find(tx, principal.user_id)
        if user is None:
            raise AccountGone
        return user
