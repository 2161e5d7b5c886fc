"""Roles and status of users: at most five minutes old, older only while identity is away."""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

from chassis.caller import Caller
from chassis.clock import Clock
from chassis.database import Database
from chassis.internal import DependencyUnavailable
from services.token.domain.subjects import Snapshot
from services.token.errors import InvalidRefreshToken
from services.token.identity_client import IdentityClient
from services.token.repository.subjects import lock_subject, store_subject

_ASK_AGAIN_AFTER = timedelta(seconds=5)


class SubjectCache:
    """Confirms subjects at identity: one question at a time per user, none while it is away."""

    def __init__(self, *, identity: IdentityClient, database: Database, clock: Clock) -> None:
        self._identity = identity
        self._database = database
        self._clock = clock
        self._asking: dict[UUID, asyncio.Task[None]] = {}
        self._away_until: datetime | None = None

    async def confirm(self, user_id: UUID, *, caller: Caller) -> None:
        """Bring the row of a user up to date.

        Raises DependencyUnavailable, InvalidRefreshToken when identity does not know the user.
        """
        task = self._asking.get(user_id)
        if task is None:
            task = asyncio.create_task(self._confirm(user_id, caller))
            self._asking[user_id] = task
            task.add_done_callback(lambda _: self._asking.pop(user_id, None))
        # Who gives up waiting must not take the answer from the others.
        await asyncio.shield(task)

    async def _confirm(self, user_id: UUID, caller: Caller) -> None:
        snapshot = await self._ask(user_id, caller)
        if snapshot is None:
            raise InvalidRefreshToken
        async with self._database.transaction() as tx:
            known = await lock_subject(tx, user_id)
            await store_subject(tx, known.confirmed(snapshot, now=self._clock.now()))

    async def _ask(self, user_id: UUID, caller: Caller) -> Snapshot | None:
        now = self._clock.now()
        if self._away_until and now < self._away_until:
            raise DependencyUnavailable(retry_after=1)
        try:
            snapshot = await self._identity.find_subject(user_id, caller=caller)
        except DependencyUnavailable:
            self._away_until = now + _ASK_AGAIN_AFTER
            raise
        self._away_until = None
        return snapshot
