"""Everything that is published becomes a row of the log, in batches."""

from collections.abc import Sequence
from datetime import timedelta

from chassis.bus import Binding, QueueSpec
from chassis.clock import Clock
from chassis.consumer import Consumer
from chassis.database import Database, Transaction
from chassis.metrics import Metrics
from chassis.subscriptions import Subscription, Unprocessable
from contracts.envelope import CloudEvent
from services.audit.domain.canonical import NotCanonicalError
from services.audit.models import INBOX
from services.audit.service.recording import Recording

QUEUE = QueueSpec("audit.events", (Binding("#"),))

_BATCH = 200

# A batch costs as much as some ten events, and the log may come a moment after what it tells of.
_GATHER = timedelta(milliseconds=200)


def consumer(
    recording: Recording, *, database: Database, clock: Clock, metrics: Metrics
) -> Consumer:
    """Build the consumer of `audit.events`."""

    async def record(tx: Transaction, events: Sequence[CloudEvent]) -> None:
        try:
            await recording.record(tx, events)
        except (NotCanonicalError, OverflowError) as error:
            raise Unprocessable(f"no leaf can be made of it: {type(error).__name__}") from None

    return Consumer(
        QUEUE.name,
        [Subscription("#")],
        database,
        INBOX,
        clock,
        batch_handler=record,
        batch_size=_BATCH,
        gather=_GATHER,
        registry=metrics.registry,
    )
