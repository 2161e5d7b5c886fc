"""What administrators and moderators do to the sessions of others."""

from uuid import UUID

from chassis.caller import Caller, Principal
from chassis.clock import Clock
from chassis.database import Database, Transaction
from services.token.domain.subjects import PLAIN_ROLES, may_moderate
from services.token.errors import InvalidRefreshToken, RoleRequired, UnknownUser
from services.token.repository.sessions import list_running
from services.token.repository.subjects import find_subject, lock_subject
from services.token.service.endings import Endings
from services.token.service.subject_cache import SubjectCache


class Administration:
    """Sessions as others end them.

    Roles count as token knows them, not only as the caller's token says. For moderators nobody
    exists but users whose roles are exactly `user`.
    """

    def __init__(
        self, *, database: Database, endings: Endings, subjects: SubjectCache, clock: Clock
    ) -> None:
        self._database = database
        self._endings = endings
        self._subjects = subjects
        self._clock = clock

    async def end_sessions(self, user_id: UUID, principal: Principal, *, caller: Caller) -> None:
        """End every session of a user; a login in flight waits and is not among them.

        Raises RoleRequired, UnknownUser, and DependencyUnavailable when only identity could tell
        whether there is such a user.
        """
        async with self._database.transaction() as tx:
            roles = await _roles_of(tx, principal)
            known = await find_subject(tx, user_id)
        if known is None or not known.roles:
            await self._meet(user_id, caller)
        async with self._database.transaction() as tx:
            subject = await lock_subject(tx, user_id)
            if subject.status == "deleted" or not may_moderate(roles, subject.roles):
                raise UnknownUser
            running = await list_running(tx, user_id)
            now = self._clock.now()
            await self._endings.end(tx, running, reason="admin", now=now, caller=caller)

    async def _meet(self, user_id: UUID, caller: Caller) -> None:
        """Ask identity about somebody who has never logged in."""
        try:
            await self._subjects.confirm(user_id, caller=caller)
        except InvalidRefreshToken:
            raise UnknownUser from None


async def require_admin(tx: Transaction, principal: Principal) -> None:
    """Ask for the role `admin`, in the caller's token and as known since. Raises RoleRequired."""
    if "admin" not in await _roles_of(tx, principal):
        raise RoleRequired


async def _roles_of(tx: Transaction, principal: Principal) -> frozenset[str]:
    """Return the roles the caller has by its token and by what is known since."""
    actor = await find_subject(tx, principal.user_id)
    if actor is None or actor.status != "active":
        raise RoleRequired
    roles = principal.roles & actor.roles
    if not may_moderate(roles, PLAIN_ROLES):
        raise RoleRequired
    return roles
