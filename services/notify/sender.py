"""The sending side by side with the requests: workers, housekeeping, and what they count."""

import asyncio
from datetime import timedelta
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge

from chassis.background import Background
from chassis.backoff import Backoff
from chassis.database import Database, DatabaseUnavailable
from chassis.logs import get_logger
from services.notify.repository import ledger
from services.notify.service.delivery import Delivery

POLL = timedelta(seconds=1)

_MEASURE_EVERY = timedelta(seconds=15)
_PRUNE_BATCH = 1000

log = get_logger(__name__)


class _Measures:
    """What operators see of the sending."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.attempts = Counter(
            "gatehouse_notify_attempts",
            "Attempts to deliver a mail, by what came of them (waiting: to be tried again).",
            ["state"],
            registry=registry,
        )
        self.waiting = Gauge(
            "gatehouse_notify_waiting", "Mails waiting to be sent.", registry=registry
        )
        self.oldest = Gauge(
            "gatehouse_notify_oldest_seconds",
            "Age of the mail that waits longest, in seconds.",
            registry=registry,
        )
        self.paused = Gauge(
            "gatehouse_notify_transport_paused",
            "1 while the transport is down: one mail after each pause tries, the others wait.",
            registry=registry,
        )


class Sender:
    """Runs *workers* deliveries at a time.

    They look whenever *due* is set and each second besides. With *alone*, this process is the
    only one that delivers: what a dead predecessor had claimed is due at once.
    """

    def __init__(
        self,
        *,
        delivery: Delivery,
        database: Database,
        due: asyncio.Event,
        workers: int,
        retention: timedelta,
        alone: bool,
        registry: CollectorRegistry,
    ) -> None:
        self._delivery = delivery
        self._database = database
        self._due = due
        self._workers = workers
        self._retention = retention
        self._alone = alone
        self._measures = _Measures(registry)
        self._measures.paused.set_function(lambda: float(delivery.paused))

    def start(self, background: Background) -> None:
        """Deliver until *background* stops; mails being handed over are finished."""
        for number in range(self._workers):
            work = partial(self._work, background, first=number == 0)
            background.start(f"mail.worker.{number}", work, graceful=True)
        background.start("mail.housekeeping", lambda: self._keep_house(background))

    async def _work(self, background: Background, *, first: bool) -> None:
        backoff = Backoff()
        failures = 0
        to_release = first and self._alone
        while not background.stopping.is_set():
            try:
                if to_release:
                    await self._delivery.release_all()
                    to_release = False
                verdict = await self._delivery.deliver_next()
            except DatabaseUnavailable:
                failures += 1
                await background.pause(backoff.delay(failures))
                continue
            failures = 0
            if verdict is None:
                await background.pause(POLL, self._due)
                continue
            self._measures.attempts.labels(str(verdict.state)).inc()

    async def _keep_house(self, background: Background) -> None:
        while not background.stopping.is_set():
            try:
                await self.keep_house()
            except DatabaseUnavailable as error:
                log.warning("housekeeping.postponed", reason=error.code)
            await background.pause(_MEASURE_EVERY)

    async def keep_house(self) -> None:
        """Measure what waits, and delete what is past its retention, in small batches."""
        async with self._database.transaction() as tx:
            backlog = await ledger.backlog(tx)
        self._measures.waiting.set(backlog.waiting)
        self._measures.oldest.set(backlog.oldest.total_seconds())
        pruned = _PRUNE_BATCH
        while pruned == _PRUNE_BATCH:
            async with self._database.transaction() as tx:
                pruned = await ledger.prune(tx, retention=self._retention, limit=_PRUNE_BATCH)
