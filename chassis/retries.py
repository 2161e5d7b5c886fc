"""What becomes of a message whose handler failed: the next try, in time, or the dead letters."""

import asyncio
from datetime import timedelta

import structlog

from chassis.background import Background
from chassis.backoff import Backoff
from chassis.database import Database, DatabaseUnavailable
from chassis.delivery_metrics import InboxMetrics
from chassis.inbox import Letter
from chassis.inbox_rows import Inbox
from chassis.subscriptions import Handlers, Unprocessable, describe
from contracts.envelope import CloudEvent, EnvelopeError

log = structlog.get_logger()

MAX_ATTEMPTS = 8
RETRY = Backoff(first=timedelta(seconds=1), factor=4, cap=timedelta(hours=1))
_DATABASE_AWAY = Backoff()


class Retries:
    """The retry schedule of one queue, kept in the consumer's own database.

    Each replica runs one; a message is tried by one of them at a time.
    """

    def __init__(
        self,
        inbox: Inbox,
        handlers: Handlers,
        database: Database,
        metrics: InboxMetrics,
        *,
        backoff: Backoff = RETRY,
        max_attempts: int = MAX_ATTEMPTS,
        poll: timedelta = timedelta(seconds=1),
    ) -> None:
        self._inbox = inbox
        self._handlers = handlers
        self._database = database
        self._metrics = metrics
        self._backoff = backoff
        self._max_attempts = max_attempts
        self._poll = poll
        self._redriven = asyncio.Event()

    async def postpone(self, letter: Letter, error: Exception) -> None:
        """Keep *letter*, whose first attempt failed with *error*, for its second."""
        if isinstance(error, Unprocessable) or self._max_attempts == 1:
            await self.bury(letter, error)
            return
        delay = self._backoff.delay(1)
        async with self._database.transaction() as tx:
            await self._inbox.postpone(tx, letter, delay, describe(error))
        self._tell(letter, error, delay)

    async def bury(self, letter: Letter, error: Exception) -> None:
        """Put a new *letter* to the dead ones: no attempt can help."""
        async with self._database.transaction() as tx:
            await self._inbox.bury(tx, letter, describe(error))
        self._tell(letter, error, None)

    async def redrive(self) -> int:
        """Give every dead letter all its attempts again; return how many."""
        async with self._database.transaction() as tx:
            count = await self._inbox.redrive(tx)
            tx.after_commit(self._redriven.set)
        return count

    async def retry_once(self) -> bool:
        """Try the letter whose retry is due longest; say whether there was one.

        Raises DatabaseUnavailable, which costs the letter no attempt.
        """
        letter: Letter | None = None
        try:
            async with self._database.transaction() as tx:
                letter = await self._inbox.claim_due(tx)
                if letter is None:
                    return False
                await self._handlers.call(tx, [self._read(letter)])
                await self._inbox.finish(tx, letter)
        except DatabaseUnavailable:
            raise
        except Exception as error:
            if letter is None:
                raise
            await self._reschedule(letter, error)
            return True
        self._metrics.processed.labels(self._inbox.queue).inc()
        return True

    async def run(self, background: Background) -> None:
        """Run what is due until *background* stops."""
        failures = 0
        while not background.stopping.is_set():
            try:
                found = await self.retry_once()
            except DatabaseUnavailable:
                failures += 1
                await background.pause(_DATABASE_AWAY.delay(failures))
                continue
            failures = 0
            if not found:
                await background.pause(self._poll, self._redriven)

    def _read(self, letter: Letter) -> CloudEvent:
        try:
            event = CloudEvent.from_json(letter.body)
        except EnvelopeError as error:
            raise Unprocessable(f"unreadable: {error}") from None
        if refusal := self._handlers.refusal(event):
            raise Unprocessable(refusal)
        return event

    async def _reschedule(self, letter: Letter, error: Exception) -> None:
        hopeless = isinstance(error, Unprocessable) or letter.attempts + 1 >= self._max_attempts
        delay = None if hopeless else self._backoff.delay(letter.attempts + 1)
        async with self._database.transaction() as tx:
            await self._inbox.reschedule(tx, letter, delay, describe(error))
        self._tell(letter, error, delay)

    def _tell(self, letter: Letter, error: Exception, delay: timedelta | None) -> None:
        self._metrics.failures.labels(self._inbox.queue).inc()
        if delay is None:
            self._metrics.died.labels(self._inbox.queue).inc()
        log.warning(
            "message.died" if delay is None else "message.postponed",
            queue=self._inbox.queue,
            type=letter.type,
            message_id=str(letter.message_id),
            attempts=letter.attempts + 1,
            reason=describe(error),
            retry_in=None if delay is None else delay.total_seconds(),
        )
