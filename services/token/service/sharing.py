"""Keeping the deny list in Redis the same as in PostgreSQL (D12)."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from prometheus_client import Gauge

from chassis.background import Background
from chassis.clock import Clock
from chassis.database import DatabaseUnavailable
from chassis.logs import get_logger
from chassis.metrics import Metrics
from services.token.domain.revocations import Cursor, Revocation
from services.token.service.revocations import Revocations
from services.token.shared_denylist import SharedDenyList, SharedDenyListUnavailable

_LOOK_EVERY = timedelta(milliseconds=500)
log = get_logger(__name__)


class Sharing:
    """Writes what is committed at once, and everything whenever something may be missing.

    That is: at the start, after any failure, and when the sentinel is gone (FLUSHALL, a server
    that came back empty or old, another replica's filling that ran out). Nobody waits for this:
    while Redis is away, gateways know by their poll and by events.
    """

    def __init__(
        self, shared: SharedDenyList, revocations: Revocations, clock: Clock, metrics: Metrics
    ) -> None:
        self._shared = shared
        self._revocations = revocations
        self._clock = clock
        self._committed: list[Revocation] = []
        self._news = asyncio.Event()
        self._filled = False
        self._away = False
        self._gauge = Gauge(
            "gatehouse_token_denylist_in_redis",
            "1 while the whole deny list is in Redis too.",
            registry=metrics.registry,
        )

    def hear(self, entries: Sequence[Revocation]) -> None:
        """Have *entries*, which are committed, written soon."""
        self._committed += entries
        self._news.set()

    def start(self, background: Background) -> None:
        """Write from now on."""
        background.start("denylist", lambda: self._run(background))

    async def close(self) -> None:
        """Let go of Redis."""
        await self._shared.close()

    async def _run(self, background: Background) -> None:
        while not background.stopping.is_set():
            try:
                await self._catch_up()
            except (SharedDenyListUnavailable, DatabaseUnavailable) as error:
                self._lose(type(error.__cause__ or error).__name__)
                self._news.clear()  # news is no reason to try again sooner
            await background.pause(_LOOK_EVERY, self._news)

    async def _catch_up(self) -> None:
        committed, self._committed = self._committed, []
        if self._filled:
            self._filled = await self._shared.write(committed, now=self._clock.now())
        if not self._filled:
            await self._fill()

    async def _fill(self) -> None:
        """Write every live entry; what commits meanwhile is heard of and written next."""
        cursor: Cursor | None = None
        complete = False
        while not complete:
            reading = await self._revocations.read(cursor)
            await self._shared.write(reading.entries, now=self._clock.now())
            cursor, complete = reading.cursor, reading.complete
        await self._shared.mark_filled()
        self._filled = True
        self._gauge.set(1)
        if self._away:
            log.info("denylist.shared_again")
        self._away = False

    def _lose(self, error: str) -> None:
        self._filled = False
        self._gauge.set(0)
        if not self._away:  # one line per outage, the metric tells the rest
            log.warning("denylist.not_shared", error=error)
        self._away = True
