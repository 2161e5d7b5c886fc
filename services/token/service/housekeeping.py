"""Removing what has served: in small batches, by index, while others work."""

from datetime import timedelta

from chassis.background import Background
from chassis.clock import Clock
from chassis.database import Database, DatabaseUnavailable
from chassis.logs import get_logger
from services.token.domain.keys import REVOKED_KEPT
from services.token.repository.refresh_tokens import delete_expired
from services.token.repository.revocations import delete_outlived
from services.token.repository.revoked_keys import delete_revoked
from services.token.repository.sessions import delete_ended, list_expired
from services.token.repository.subjects import forget_deleted
from services.token.service.endings import Endings

ENDED_SESSIONS_KEPT = timedelta(days=1)
"""How long the row of an ended session stays; audit keeps the event."""

DELETED_SUBJECTS_KEPT = timedelta(days=30)
"""How long it is remembered that a user is gone: longer than any late event or login in flight."""

# A refresh locks the session, then its token; what is removed here is locked the other way round.
# No refresh that found a token alive can still be under way so long after.
_MARGIN = timedelta(minutes=1)
_EVERY = timedelta(minutes=1)
_BATCH = 500
log = get_logger(__name__)


class Housekeeping:
    """Ends sessions that ran out, and deletes what is past its time.

    That is: expired tokens, ended sessions, entries of the deny list, users deleted long ago.
    """

    def __init__(
        self, *, database: Database, endings: Endings, clock: Clock, batch: int = _BATCH
    ) -> None:
        self._database = database
        self._endings = endings
        self._clock = clock
        self._batch = batch

    async def run(self, background: Background) -> None:
        """Keep house every minute until *background* stops."""
        while not background.stopping.is_set():
            try:
                await self.keep_house()
            except DatabaseUnavailable:
                log.warning("housekeeping.skipped", reason="database_unavailable")
            await background.pause(_EVERY)

    async def keep_house(self) -> None:
        """Remove everything that is due, one small transaction after the other."""
        for remove in (
            self._expire,
            self._forget_sessions,
            self._forget_revocations,
            self._forget_subjects,
        ):
            while await remove() >= self._batch:
                pass
        await self._forget_revoked_keys()

    async def _expire(self) -> int:
        """Delete expired tokens; a session whose newest token is among them has ended."""
        now = self._clock.now()
        async with self._database.transaction() as tx:
            session_ids = await delete_expired(tx, now=now - _MARGIN, limit=self._batch)
            over = await list_expired(tx, set(session_ids), now=now)
            await self._endings.end(tx, over, reason="expired", now=now, caller=None)
        return len(session_ids)

    async def _forget_sessions(self) -> int:
        before = self._clock.now() - ENDED_SESSIONS_KEPT
        async with self._database.transaction() as tx:
            return await delete_ended(tx, before=before, limit=self._batch)

    async def _forget_subjects(self) -> int:
        before = self._clock.now() - DELETED_SUBJECTS_KEPT
        async with self._database.transaction() as tx:
            return await forget_deleted(tx, before=before, limit=self._batch)

    async def _forget_revocations(self) -> int:
        async with self._database.transaction() as tx:
            return await delete_outlived(tx, now=self._clock.now(), limit=self._batch)

    async def _forget_revoked_keys(self) -> None:
        async with self._database.transaction() as tx:
            await delete_revoked(tx, before=self._clock.now() - REVOKED_KEPT)
