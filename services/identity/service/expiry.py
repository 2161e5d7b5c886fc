"""Expiry: accounts whose address nobody proved go, so that no name is squatted for ever."""

from datetime import datetime, timedelta
from uuid import UUID

from chassis.clock import Clock
from chassis.database import Database
from chassis.outbox import Outbox
from contracts.identity import UserDeleted
from services.identity.domain.accounts import PLAIN_ROLES, User
from services.identity.repository import counters, users

_BATCH = 100


class Expiry:
    """Deletes accounts that were never verified, and so never used, after *life*; None keeps all.

    Each in a transaction of its own, told like every deletion.
    """

    def __init__(
        self, database: Database, outbox: Outbox, clock: Clock, *, life: timedelta | None
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._clock = clock
        self._life = life

    async def expire(self) -> int:
        """Delete what is due; return how many accounts went."""
        if self._life is None:
            return 0
        total = 0
        while due := await self._list_due(self._life):
            gone = [await self._delete(user_id, self._life) for user_id in due]
            total += sum(gone)
            if not any(gone) or len(due) < _BATCH:
                break
        return total

    async def _list_due(self, life: timedelta) -> list[UUID]:
        async with self._database.transaction() as tx:
            before = self._clock.now() - life
            return await users.list_never_proven(tx, before=before, limit=_BATCH)

    async def _delete(self, user_id: UUID, life: timedelta) -> bool:
        now = self._clock.now()
        async with self._database.transaction() as tx:
            await counters.forget(tx, user_id, now=now)
            user = await users.find_for_update(tx, user_id, renames=True)
            if user is None or not _is_due(user, before=now - life):
                return False
            await users.delete(tx, user_id)
            await self._outbox.emit(
                tx,
                UserDeleted(user_id=user_id),
                subject=str(user_id),
                caller=None,
                actor="expiry",
                subjectversion=user.version + 1,
                urgent=True,
            )
        return True


def _is_due(user: User, *, before: datetime) -> bool:
    """Ask again with the row locked: an administrator may have made use of the account since."""
    since = user.unverified_since
    is_left_alone = user.last_login is None and user.is_usable and user.roles == PLAIN_ROLES
    return is_left_alone and since is not None and since < before
