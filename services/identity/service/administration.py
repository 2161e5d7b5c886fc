"""Administration: what administrators and moderators see of accounts, and do to them."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from chassis.caller import Caller, Principal
from chassis.clock import Clock
from chassis.database import Database, Transaction
from chassis.outbox import Outbox
from chassis.paging import Page
from contracts.identity import (
    UserDeleted,
    UserDisabled,
    UserEnabled,
    UserEvent,
    UserLocked,
    UserRolesChanged,
    UserUnlocked,
)
from services.identity.domain.accounts import PLAIN_ROLES, Role, User
from services.identity.domain.history import FailedAttempt
from services.identity.errors import UnknownUser
from services.identity.repository import administration, counters, history, users
from services.identity.service.authority import ADMINISTERING, MODERATING, held, roles_of, visible
from services.identity.service.forced_reset import ForcedReset
from services.identity.service.last_administrator import keep_one_administrator


class Administration:
    """Accounts as others manage them.

    Roles are read from the database in the same transaction, not only from the caller's token.
    Moderators see, lock and unlock accounts whose roles are exactly `user`; the rest does not
    exist for them.
    """

    def __init__(
        self, database: Database, outbox: Outbox, clock: Clock, *, forced_reset: ForcedReset
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._clock = clock
        self._forced_reset = forced_reset

    async def list_users(
        self,
        principal: Principal,
        *,
        search: str | None,
        role: str | None,
        limit: int,
        after: UUID | None,
    ) -> Page[User]:
        """Return accounts whose address or username begins with *search*. Raises RoleRequired."""
        async with self._database.transaction() as tx:
            roles = await roles_of(tx, principal, MODERATING)
            return await administration.list_users(
                tx,
                search=None if search is None else search.lower(),
                role=role,
                only_plain=Role.ADMIN not in roles,
                limit=limit,
                after=after,
            )

    async def get(self, principal: Principal, user_id: UUID) -> User:
        """Return one account. Raises RoleRequired, UnknownUser."""
        async with self._database.transaction() as tx:
            return await visible(tx, principal, user_id, MODERATING)

    async def list_failures(
        self, principal: Principal, user_id: UUID, *, limit: int, before: UUID | None
    ) -> Page[FailedAttempt]:
        """Return the failed logins of one account, newest first. Raises as `get`."""
        async with self._database.transaction() as tx:
            await visible(tx, principal, user_id, MODERATING)
            return await history.list_failures(tx, user_id, limit=limit, before=before)

    async def lock(self, principal: Principal, user_id: UUID, *, caller: Caller) -> User:
        """Lock the account until somebody unlocks it; its sessions end."""
        async with self._database.transaction() as tx:
            await visible(tx, principal, user_id, MODERATING)
            await keep_one_administrator(tx, user_id)
            user = await held(tx, user_id)
            if user.is_locked:
                return user
            fact = UserLocked(user_id=user_id, cause="admin", locked_until=None)
            return await self._change(tx, fact, caller, urgent=True, is_locked=True)

    async def unlock(self, principal: Principal, user_id: UUID, *, caller: Caller) -> User:
        """Lift an administrator's lock as well as a failure lock."""
        async with self._database.transaction() as tx:
            await visible(tx, principal, user_id, MODERATING)
            was_locked = await counters.unlock(tx, user_id, now=self._clock.now())
            user = await held(tx, user_id)
            if not (user.is_locked or was_locked):
                return user
            fact = UserUnlocked(user_id=user_id, cause="admin")
            return await self._change(tx, fact, caller, is_locked=False, locked_until=None)

    async def disable(self, principal: Principal, user_id: UUID, *, caller: Caller) -> User:
        """Take the account out of service; its sessions end."""
        async with self._database.transaction() as tx:
            await visible(tx, principal, user_id, ADMINISTERING)
            await keep_one_administrator(tx, user_id)
            user = await held(tx, user_id)
            if user.is_disabled:
                return user
            fact = UserDisabled(user_id=user_id)
            return await self._change(tx, fact, caller, urgent=True, is_disabled=True)

    async def enable(self, principal: Principal, user_id: UUID, *, caller: Caller) -> User:
        """Put the account back into service."""
        async with self._database.transaction() as tx:
            await visible(tx, principal, user_id, ADMINISTERING)
            user = await held(tx, user_id)
            if not user.is_disabled:
                return user
            return await self._change(tx, UserEnabled(user_id=user_id), caller, is_disabled=False)

    async def force_password_reset(
        self, principal: Principal, user_id: UUID, *, caller: Caller
    ) -> User:
        """Let nobody in before the owner has followed a mailed link, which is sent at once.

        Every session of the account ends.
        """
        async with self._database.transaction() as tx:
            await visible(tx, principal, user_id, ADMINISTERING)
            user = await held(tx, user_id)
            return await self._forced_reset.demand(tx, user, caller=caller)

    async def set_roles(
        self, principal: Principal, user_id: UUID, roles: Collection[Role], *, caller: Caller
    ) -> User:
        """Give the account exactly *roles* and `user`. Raises LastAdministrator."""
        wanted = frozenset(str(role) for role in roles) | PLAIN_ROLES
        async with self._database.transaction() as tx:
            await visible(tx, principal, user_id, ADMINISTERING)
            if Role.ADMIN not in wanted:
                await keep_one_administrator(tx, user_id)
            before = await held(tx, user_id)
            if before.roles == wanted:
                return before
            now = self._clock.now()
            await administration.replace_roles(
                tx, user_id, wanted, now=now, granted_by=principal.user_id
            )
            fact = UserRolesChanged(
                user_id=user_id,
                roles=tuple(sorted(wanted)),
                previous_roles=tuple(sorted(before.roles)),
            )
            return await self._change(tx, fact, caller, urgent=True)

    async def delete(self, principal: Principal, user_id: UUID, *, caller: Caller) -> None:
        """Delete the account and everything of it. Raises LastAdministrator."""
        async with self._database.transaction() as tx:
            await visible(tx, principal, user_id, ADMINISTERING)
            await keep_one_administrator(tx, user_id)
            await counters.forget(tx, user_id, now=self._clock.now())
            user = await held(tx, user_id, renames=True)
            await users.delete(tx, user_id)
            fact = UserDeleted(user_id=user_id)
            await self._emit(tx, fact, user.version + 1, caller, urgent=True)

    async def _change(
        self,
        tx: Transaction,
        fact: UserEvent,
        caller: Caller,
        *,
        urgent: bool = False,
        **changes: Any,
    ) -> User:
        user = await users.update(tx, fact.user_id, **changes)
        if user is None:
            raise UnknownUser
        await self._emit(tx, fact, user.version, caller, urgent=urgent)
        return user

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
            subjectversion=version,
            urgent=urgent,
        )
