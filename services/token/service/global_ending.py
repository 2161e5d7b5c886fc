"""Ending the sessions that a global revocation left dead: in small batches, beside the requests."""

import asyncio
from datetime import timedelta

from prometheus_client import Counter, Gauge

from chassis.background import Background
from chassis.clock import Clock
from chassis.database import Database, DatabaseUnavailable
from chassis.logs import get_logger
from chassis.metrics import Metrics
from services.token.repository.epochs import find_newest
from services.token.repository.sessions import list_of_older_epochs
from services.token.service.endings import Endings

# Together some 1000 events a second and replica: fewer than a relay publishes, so that those of the
# people who log in again do not wait behind them.
_BATCH = 200
_BETWEEN = timedelta(milliseconds=200)
_LOOK_EVERY = timedelta(seconds=5)
log = get_logger(__name__)


class GlobalEnding:
    """Ends sessions of earlier epochs, and says so of each.

    They are refused already: this is for who lists, counts and follows sessions. Their access
    tokens are signed by revoked keys, so that the deny list does not grow by every session there
    was. Replicas share the work; `wanted` has this one begin now.
    """

    def __init__(
        self,
        *,
        database: Database,
        endings: Endings,
        clock: Clock,
        metrics: Metrics,
        batch: int = _BATCH,
    ) -> None:
        self._database = database
        self._endings = endings
        self._clock = clock
        self._batch = batch
        self.wanted = asyncio.Event()
        self._under_way = Gauge(
            "gatehouse_token_global_revocation_under_way",
            "1 while sessions of before a global revocation, refused already, are being ended.",
            registry=metrics.registry,
        )
        self._ended = Counter(
            "gatehouse_token_sessions_ended_globally",
            "Sessions ended because everybody was logged out.",
            registry=metrics.registry,
        )

    async def run(self, background: Background) -> None:
        """End what is to be ended until *background* stops."""
        under_way = False
        while not background.stopping.is_set():
            try:
                ended = await self.end_some()
            except DatabaseUnavailable:
                log.warning("global_ending.skipped", reason="database_unavailable")
                await background.pause(_LOOK_EVERY)
                continue
            if under_way and not ended:
                log.info("sessions.ended_globally")
            under_way = bool(ended)
            self._under_way.set(int(under_way))
            if under_way:
                await background.pause(_BETWEEN)
            else:
                await background.pause(_LOOK_EVERY, self.wanted)

    async def end_some(self) -> int:
        """End one batch in a transaction of its own; return how many. Raises DatabaseUnavailable.

        Whoever is refreshing one of them has it locked: it is ended next time.
        """
        async with self._database.transaction() as tx:
            newest = await find_newest(tx)
            if newest is None:
                return 0
            dead = await list_of_older_epochs(tx, newest.epoch, limit=self._batch)
            ended = await self._endings.end(
                tx,
                dead,
                reason="revoke_all",
                now=self._clock.now(),
                caller=None,
                actor=newest.actor,
                denied=False,
            )
        self._ended.inc(ended)
        return ended
