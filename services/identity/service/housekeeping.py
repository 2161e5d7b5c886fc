"""Housekeeping: every table has a bound, kept in small batches."""

import asyncio
from datetime import timedelta

from chassis.background import Background
from chassis.clock import Clock
from chassis.database import Database, DatabaseUnavailable
from chassis.logs import get_logger
from services.identity.repository import housekeeping
from services.identity.service.expiry import Expiry

_EVERY = timedelta(minutes=1)
log = get_logger(__name__)


class Housekeeping:
    """Deletes what has had its time."""

    def __init__(self, database: Database, clock: Clock, *, expiry: Expiry) -> None:
        self._database = database
        self._clock = clock
        self._expiry = expiry

    def start(self, background: Background) -> None:
        """Clean up once a minute until *background* stops."""
        background.start("housekeeping", lambda: self._run(background))

    async def clean(self) -> int:
        """Delete everything that is due; return how many rows went."""
        total = await self._expiry.expire()
        for task in housekeeping.TASKS:
            while deleted := await self._prune(task):
                total += deleted
                if deleted < housekeeping.BATCH:
                    break
                await asyncio.sleep(0)
        return total

    async def _prune(self, task: str) -> int:
        async with self._database.transaction() as tx:
            return await housekeeping.prune(tx, task, now=self._clock.now())

    async def _run(self, background: Background) -> None:
        while not background.stopping.is_set():
            try:
                deleted = await self.clean()
            except DatabaseUnavailable:
                log.warning("housekeeping.postponed", reason="database_unavailable")
            else:
                if deleted:
                    log.info("housekeeping.done", rows=deleted)
            await background.pause(_EVERY)
