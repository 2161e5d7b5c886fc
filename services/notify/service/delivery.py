"""The delivery of one mail: claim, compose, hand over, settle.

A crash between handing over and settling ends in a second mail with the same Message-ID, and in
nothing else: the ledger row is claimed again when its lease has run out.
"""

import asyncio
import traceback
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid4

from chassis.backoff import Backoff
from chassis.clock import Clock
from chassis.database import Database, DatabaseUnavailable
from chassis.logs import get_logger
from chassis.outbox import Outbox
from services.notify.domain.messages import (
    SENT,
    Message,
    Reason,
    RetryPolicy,
    State,
    Verdict,
    verdict_before_sending,
)
from services.notify.repository import ledger
from services.notify.service.announcements import announce
from services.notify.service.breaker import Breaker
from services.notify.service.composition import Composer
from services.notify.transports import (
    DeliveryFailed,
    Mail,
    PermanentFailure,
    TemporaryFailure,
    Transport,
    TransportUnavailable,
)

_SETTLE_ATTEMPTS = 6

log = get_logger(__name__)


class Delivery:
    """Delivers what is due.

    *lease* must outlast what the transport takes at most, or two
    processes send the same mail. *chance* returns numbers in [0, 1).
    """

    def __init__(
        self,
        *,
        database: Database,
        outbox: Outbox,
        transport: Transport,
        breaker: Breaker,
        composer: Composer,
        clock: Clock,
        policy: RetryPolicy,
        lease: timedelta,
        chance: Callable[[], float],
    ) -> None:
        self._owner: UUID = uuid4()
        self._database = database
        self._outbox = outbox
        self._transport = transport
        self._breaker = breaker
        self._composer = composer
        self._clock = clock
        self._policy = policy
        self._lease = lease
        self._chance = chance

    @property
    def paused(self) -> bool:
        """Say whether nothing is claimed because the transport is down."""
        return self._breaker.paused

    async def deliver_next(self) -> Verdict | None:
        """Deliver the mail that is due longest; return what came of it.

        None when none is due, or none may go out now. Raises DatabaseUnavailable.
        """
        if not self._breaker.admit():
            return None
        try:
            return await self._deliver_next()
        finally:
            self._breaker.leave()

    async def release_all(self) -> None:
        """Make mails due that a dead process held; only for the one process that delivers."""
        async with self._database.transaction() as tx:
            await ledger.release_all(tx)

    async def _deliver_next(self) -> Verdict | None:
        async with self._database.transaction() as tx:
            message = await ledger.claim_due(tx, self._owner, lease=self._lease)
        if message is None:
            return None
        verdict = await self._attempt(message)
        await self._settle_surely(message, verdict)
        return verdict

    async def _attempt(self, message: Message) -> Verdict:
        verdict = verdict_before_sending(message, now=self._clock.now(), policy=self._policy)
        if verdict is not None:
            return verdict
        try:
            await self._hand_over(self._composer.compose(message))
        except PermanentFailure as failure:
            return Verdict(State.FAILED, failure.reason)
        except TemporaryFailure as failure:
            return self._again(message, failure.reason, retry_after=failure.retry_after)
        except Exception as error:  # noqa: BLE001 - one broken mail must not stop the others
            # Where, never what: messages of exceptions may quote the mail.
            frames = traceback.format_tb(error.__traceback__)
            log.error(  # noqa: TRY400 - exception() would print the message
                "message.attempt_crashed",
                message_id=str(message.id),
                error=type(error).__name__,
                frames="".join(frames),
            )
            return self._again(message, Reason.INTERNAL_ERROR)
        return SENT

    async def _hand_over(self, mail: Mail) -> None:
        """Send *mail*, and tell the breaker whether anybody was there to take or refuse it."""
        try:
            await self._transport.send(mail)
        except TransportUnavailable as failure:
            pause = self._breaker.failed(retry_after=failure.retry_after)
            if pause is not None:
                seconds = round(pause.total_seconds(), 3)
                log.warning("transport.paused", reason=failure.reason, seconds=seconds)
            raise
        except DeliveryFailed:
            self._note_presence()
            raise
        self._note_presence()

    def _note_presence(self) -> None:
        if self._breaker.succeeded():
            log.info("transport.resumed")

    def _again(
        self, message: Message, reason: str, *, retry_after: timedelta | None = None
    ) -> Verdict:
        return self._policy.after_failure(
            message.attempts, reason, chance=self._chance(), retry_after=retry_after
        )

    async def _settle_surely(self, message: Message, verdict: Verdict) -> None:
        """Settle, also over a short absence of the database: the mail may be out already."""
        backoff = Backoff()
        for failures in range(1, _SETTLE_ATTEMPTS):
            try:
                await self._settle(message, verdict)
            except DatabaseUnavailable:
                await asyncio.sleep(backoff.delay(failures).total_seconds())
            else:
                return
        await self._settle(message, verdict)

    async def _settle(self, message: Message, verdict: Verdict) -> None:
        async with self._database.transaction() as tx:
            held = await ledger.mark(tx, message, self._owner, verdict)
            if held:
                await announce(self._outbox, tx, message, verdict)
        tell = log.info if verdict.state is State.SENT else log.warning
        tell(
            f"message.{verdict.state}" if held else "message.lease_lost",
            message_id=str(message.id),
            template=str(message.template),
            attempts=message.attempts,
            reason=verdict.reason,
        )
