"""The profile: what people see, change and delete of their own account."""

from uuid import UUID

from chassis.caller import Caller, Principal
from chassis.clock import Clock
from chassis.database import Database
from chassis.outbox import Outbox
from chassis.paging import Page
from contracts.identity import UserDeleted, UserUpdated
from services.identity.domain.accounts import User
from services.identity.domain.history import LoginRecord
from services.identity.domain.names import Username
from services.identity.errors import AccountGone
from services.identity.repository import counters, history, users
from services.identity.service.confirmation import Confirmation
from services.identity.service.last_administrator import keep_one_administrator
from services.identity.service.taken import refuse_taken, taken_error


class Profile:
    """The account of whoever asks."""

    def __init__(
        self, database: Database, outbox: Outbox, clock: Clock, *, confirmation: Confirmation
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._clock = clock
        self._confirmation = confirmation

    async def get(self, principal: Principal) -> User:
        """Return the caller's account. Raises AccountGone."""
        async with self._database.transaction() as tx:
            user = await users.find(tx, principal.user_id)
        if user is None:
            raise AccountGone
        return user

    async def rename(self, principal: Principal, username: Username, *, caller: Caller) -> User:
        """Give the caller's account another username. Raises AlreadyTaken, AccountGone."""
        async with self._database.transaction() as tx:
            before = await users.find_for_update(tx, principal.user_id, renames=True)
            if before is None:
                raise AccountGone
            if before.username == username.text:
                return before
            await refuse_taken(
                tx, username=username.text, except_for=before.id, now=self._clock.now()
            )
            after = await users.change_names(tx, before.id, username=username.text)
            if after is None:
                raise taken_error(["username"])
            await self._outbox.emit(
                tx,
                UserUpdated(user_id=after.id, fields=("username",)),
                subject=str(after.id),
                caller=caller,
                subjectversion=after.version,
            )
        return after

    async def delete(self, principal: Principal, password: str, *, caller: Caller) -> None:
        """Delete the caller's account and everything of it.

        Raises LastAdministrator, and what Confirmation does.
        """
        user, attempt = await self._confirmation.confirm(principal.user_id, password, caller=caller)
        async with self._database.transaction() as tx:
            await keep_one_administrator(tx, user.id)
            await counters.forget(tx, user.id, now=self._clock.now())
            await self._confirmation.settle(tx, user, attempt, renames=True)
            deleted = await users.delete(tx, user.id)
            if deleted is None:
                raise AccountGone
            await self._outbox.emit(
                tx,
                UserDeleted(user_id=deleted.id),
                subject=str(deleted.id),
                caller=caller,
                subjectversion=deleted.version + 1,
                urgent=True,
            )

    async def list_logins(
        self, principal: Principal, *, limit: int, before: UUID | None
    ) -> Page[LoginRecord]:
        """Return the caller's login history, newest first."""
        async with self._database.transaction() as tx:
            return await history.list_logins(tx, principal.user_id, limit=limit, before=before)
