"""A small service for the event tests: one outbox, one inbox, and a table that shows effects."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from chassis.background import Background
from chassis.backoff import Backoff
from chassis.bus import EventBus, QueueSpec
from chassis.clock import SystemClock
from chassis.consumer import Consumer
from chassis.database import Database, Transaction, metadata
from chassis.ids import uuid7
from chassis.inbox import inbox_tables
from chassis.inprocess import InProcessBus
from chassis.outbox import Outbox, outbox_tables
from chassis.relay import Relay
from chassis.subscriptions import Handler, Subscription
from contracts.envelope import CloudEvent, CommandData, EventData

METADATA = metadata()
OUTBOX = outbox_tables(METADATA)
INBOX = inbox_tables(METADATA)
EFFECTS = sa.Table(
    "effects",
    METADATA,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("queue", sa.Text, nullable=False),
    sa.Column("event_id", sa.Uuid, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("producerseq", sa.Text),
)

QUICK = Backoff(first=timedelta(milliseconds=20), cap=timedelta(milliseconds=100))
QUICK_POLL = timedelta(milliseconds=20)


class NumberDrawn(EventData):
    """A number came up."""

    type: ClassVar[str] = "test.number.drawn.v1"
    number: int


class DrawNumber(CommandData):
    """Let a number come up."""

    type: ClassVar[str] = "test.draw_number.v1"
    number: int


class BrokenHandlerError(Exception):
    """What a broken handler raises."""


@dataclass
class Recorder:
    """A handler that writes its effect; numbers in `broken` fail as often as said (-1: always)."""

    queue: str
    broken: dict[int, int] = field(default_factory=dict)
    calls: list[int] = field(default_factory=list)

    async def __call__(self, tx: Transaction, event: CloudEvent) -> None:
        """Write the effect, then fail when told to: the effect must be gone with it."""
        number = event.data["number"]
        self.calls.append(number)
        await tx.execute(
            sa.insert(EFFECTS).values(
                queue=self.queue,
                event_id=event.id,
                number=number,
                producerseq=event.producerseq,
            )
        )
        if self.broken.get(number, 0):
            self.broken[number] -= 1
            raise BrokenHandlerError


class World:
    """The service's database and what tests ask of it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.outbox = Outbox("/test", OUTBOX, SystemClock())

    async def emit(self, numbers: Sequence[int], *, urgent: bool = False) -> list[CloudEvent]:
        """Announce each number in one transaction."""
        async with self.database.transaction() as tx:
            return [
                await self.outbox.emit(
                    tx, NumberDrawn(number=n), subject="numbers", caller=None, urgent=urgent
                )
                for n in numbers
            ]

    async def send(self, number: int) -> UUID:
        """Order a number."""
        async with self.database.transaction() as tx:
            return await self.outbox.send(tx, DrawNumber(number=number), caller=None)

    def consumer(self, recorder: Handler, queue: str = "test", **options: object) -> Consumer:
        """Make a consumer of drawn numbers that retries quickly."""
        subscriptions = [Subscription(NumberDrawn.type, recorder)]
        return Consumer(
            queue,
            subscriptions,
            self.database,
            INBOX,
            SystemClock(),
            retry=QUICK,
            poll=QUICK_POLL,
            **options,  # type: ignore[arg-type] # keyword options of the class under test
        )

    def relay(self, bus: EventBus, **options: object) -> Relay:
        """Make a relay that polls quickly."""
        return Relay(
            self.outbox,
            self.database,
            bus,
            poll=QUICK_POLL,
            backoff=QUICK,
            **options,  # type: ignore[arg-type] # keyword options of the class under test
        )

    @asynccontextmanager
    async def running(self, bus: EventBus, *consumers: Consumer) -> AsyncIterator[None]:
        """Run relay and consumers as one process does; stop them and close *bus* at the end."""
        try:
            async with Background(grace=timedelta(seconds=5)) as background:
                for consumer in consumers:
                    await consumer.start(bus, background)
                self.relay(bus).start(background)
                yield
        finally:
            await bus.close()

    async def effects(self, queue: str = "test") -> list[int]:
        """Return the numbers that had an effect, in the order they had it."""
        query = sa.select(EFFECTS.c.number).where(EFFECTS.c.queue == queue).order_by(EFFECTS.c.id)
        async with self.database.transaction() as tx:
            return list((await tx.execute(query)).scalars())

    async def rows(self, table: sa.Table) -> list[sa.Row[tuple[object, ...]]]:
        """Return all rows of *table*."""
        async with self.database.transaction() as tx:
            return list((await tx.execute(sa.select(table).order_by(*table.primary_key))).all())

    async def states(self) -> list[str]:
        """Return the states in the inbox, sorted."""
        return sorted(row.state for row in await self.rows(INBOX.inbox))

    async def unpublished(self) -> int:
        """Count what waits in the outbox."""
        return sum(row.published_at is None for row in await self.rows(OUTBOX.outbox))

    async def execute(self, statement: sa.Executable) -> None:
        """Change something behind everybody's back."""
        async with self.database.transaction() as tx:
            await tx.execute(statement)


def drawn(number: int, *, type_: str = NumberDrawn.type) -> CloudEvent:
    """Return an event as it comes from somewhere."""
    clock = SystemClock()
    return CloudEvent(
        id=uuid7(clock), source="/test", type=type_, time=clock.now(), data={"number": number}
    )


def spec_of(*consumers: Consumer) -> list[QueueSpec]:
    """Return the durable queues of *consumers*."""
    return [consumer.spec for consumer in consumers]


def open_bus(queues: Sequence[QueueSpec] = ()) -> InProcessBus:
    """Return a bus inside this process to which every consumer is taken to have subscribed."""
    bus = InProcessBus(queues)
    bus.open()
    return bus


async def create_tables(url: str) -> None:
    """Create the tables of the little service."""
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(METADATA.create_all)
    await engine.dispose()
