"""Consumer and inbox: one effect per message, and failures that are nobody else's."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa
from prometheus_client import CollectorRegistry

from chassis.bus import Delivery
from chassis.clock import SystemClock
from chassis.consumer import Consumer
from chassis.database import Database, DatabaseUnavailable, Transaction
from chassis.inbox import Letter
from chassis.inbox_rows import Inbox, forget_person
from chassis.subscriptions import Subscription, Unprocessable, data_of
from chassis.tests.event_world import INBOX, NumberDrawn, Recorder, World, drawn
from contracts.envelope import CloudEvent

CLOCK = SystemClock()


def delivery_of(event: CloudEvent) -> Delivery:
    """Return *event* as the bus hands it over."""
    return Delivery(routing_key=event.type, body=event.to_json())


class TestAccept:
    """Deliveries are dealt with durably, whatever their handlers do."""

    async def test_a_batch_is_one_transaction_in_order(self, world: World) -> None:
        """Duplicates inside the batch have one effect."""
        consumer = world.consumer(Recorder("test"))
        first, second = drawn(1), drawn(2)
        await consumer.accept_deliveries([delivery_of(e) for e in (first, second, first)])
        assert await world.effects() == [1, 2]

    async def test_one_failure_does_not_undo_the_batch(self, world: World) -> None:
        """The others of the batch have their effect, each in its own transaction."""
        consumer = world.consumer(Recorder("test", broken={2: -1}))
        await consumer.accept_deliveries([delivery_of(drawn(n)) for n in (1, 2, 3)])
        assert await world.effects() == [1, 3]
        assert await world.states() == ["done", "done", "retry"]

    async def test_parallel_duplicates_have_one_effect(self, world: World) -> None:
        """Ten deliveries of one event at once, by both ways."""
        event = drawn(1)
        consumer = world.consumer(Recorder("test"))
        ways = [consumer.accept(event) for _ in range(5)]
        ways += [consumer.accept_deliveries([delivery_of(event)]) for _ in range(5)]
        await asyncio.gather(*ways)
        assert await world.effects() == [1]

    async def test_overlapping_batches_in_opposite_order(self, world: World) -> None:
        """They neither lock each other up nor repeat an effect."""
        events = [drawn(n) for n in range(20)]
        deliveries = [delivery_of(event) for event in events]
        consumers = [world.consumer(Recorder("test")) for _ in range(4)]
        await asyncio.gather(
            *(
                consumer.accept_deliveries(deliveries if even else deliveries[::-1])
                for even, consumer in enumerate(consumers)
            )
        )
        assert sorted(await world.effects()) == list(range(20))

    async def test_handler_that_swallows_a_database_error_has_failed(self, world: World) -> None:
        """Its transaction is lost, so the message must not count as done."""

        async def swallow(tx: Transaction, _event: CloudEvent) -> None:
            with pytest.raises(sa.exc.DBAPIError):
                await tx.execute(sa.text("SELECT 1/0"))

        await world.consumer(swallow).accept_deliveries([delivery_of(drawn(1))])
        assert await world.states() == ["retry"]

    async def test_timeout_towards_something_else_is_the_messages(self, world: World) -> None:
        """A handler's own network error must not look like the database's."""

        async def call_out(_tx: Transaction, _event: CloudEvent) -> None:
            raise TimeoutError

        await world.consumer(call_out).accept_deliveries([delivery_of(drawn(1))])
        [row] = await world.rows(INBOX.inbox)
        assert (row.state, row.attempts) == ("retry", 1)
        assert row.last_error.startswith("TimeoutError at test_inbox.py")

    async def test_handler_that_never_ends_is_cut_off(self, world: World) -> None:
        """It gets its time, then its message is a failed one."""

        async def hang(_tx: Transaction, _event: CloudEvent) -> None:
            await asyncio.Event().wait()

        consumer = world.consumer(hang, handler_timeout=timedelta(milliseconds=50))
        await consumer.accept_deliveries([delivery_of(drawn(1))])
        assert await world.states() == ["retry"]

    async def test_hopeless_messages_are_not_retried(self, world: World) -> None:
        """Data that does not fit its model goes to the dead letters at once."""

        async def decode(_tx: Transaction, event: CloudEvent) -> None:
            data_of(event, NumberDrawn)

        bad = replace(drawn(1), data={"number": "x"})
        await world.consumer(decode).accept_deliveries([delivery_of(bad)])
        [row] = await world.rows(INBOX.inbox)
        assert (row.state, row.last_error) == ("dead", "data of test.number.drawn.v1: number")

    async def test_unknown_types_are_parked(self, world: World) -> None:
        """A newer producer's event waits for the upgrade; then a redrive has its effect."""
        new = drawn(1, type_="test.number.drawn.v2")
        await world.consumer(Recorder("test")).accept_deliveries([delivery_of(new)])
        assert await world.states() == ["dead"]
        subscriptions = [Subscription("test.number.*.v2", Recorder("test"))]
        upgraded = Consumer("test", subscriptions, world.database, INBOX, CLOCK)
        assert await upgraded.redrive() == 1
        assert await upgraded.retry_once()
        assert await world.effects() == [1]

    async def test_push_refuses_what_is_not_its_own(self, world: World) -> None:
        """The other side learns that nobody here wants the type."""
        with pytest.raises(Unprocessable):
            await world.consumer(Recorder("test")).accept(drawn(1, type_="test.other.v1"))
        assert await world.states() == []

    async def test_database_away_is_not_the_messages_fault(self) -> None:
        """The delivery is handed back, nothing is counted."""
        registry = CollectorRegistry()
        away = Database("postgresql+asyncpg://nobody@127.0.0.1:1/none", timeout=1)
        subscriptions = [Subscription(NumberDrawn.type, Recorder("test"))]
        consumer = Consumer("test", subscriptions, away, INBOX, CLOCK, registry=registry)
        with pytest.raises(DatabaseUnavailable):
            await consumer.accept_deliveries([delivery_of(drawn(1))])
        failures = registry.get_sample_value("gatehouse_inbox_failures_total", {"queue": "test"})
        assert failures is None


class TestBatchHandler:
    """A consumer may take many events at once."""

    async def test_gets_the_new_events_only(self, world: World) -> None:
        """In order, without those that came before."""
        batches: list[list[int]] = []

        async def ingest(_tx: Transaction, events: Sequence[CloudEvent]) -> None:
            batches.append([event.data["number"] for event in events])

        consumer = Consumer(
            "audit", [Subscription("#")], world.database, INBOX, CLOCK, batch_handler=ingest
        )
        old, *new = [delivery_of(drawn(n)) for n in range(4)]
        await consumer.accept_deliveries([old])
        await consumer.accept_deliveries([old, *new])
        assert batches == [[0], [1, 2, 3]]

    async def test_isolates_the_poison(self, world: World) -> None:
        """When the batch fails, each event gets its own transaction."""

        async def ingest(tx: Transaction, events: Sequence[CloudEvent]) -> None:
            numbers = [event.data["number"] for event in events]
            for event in events:
                await Recorder("audit")(tx, event)
            if 2 in numbers:
                raise ValueError

        consumer = Consumer(
            "audit", [Subscription("#")], world.database, INBOX, CLOCK, batch_handler=ingest
        )
        await consumer.accept_deliveries([delivery_of(drawn(n)) for n in (1, 2, 3)])
        assert await world.effects("audit") == [1, 3]
        assert await world.states() == ["done", "done", "retry"]


class TestHousekeeping:
    """The inbox outlives the outbox, the dead letters outlive both."""

    async def test_drops_old_done_rows_only(self, world: World) -> None:
        """Retries and dead letters stay whatever their age."""
        recorder = Recorder("test", broken={2: -1})
        consumer = world.consumer(recorder)
        await consumer.accept_deliveries([delivery_of(drawn(n)) for n in (1, 2)])
        await consumer.accept_deliveries([Delivery(routing_key="x", body=b"junk")])
        old = sa.func.now() - timedelta(days=15)
        await world.execute(sa.update(INBOX.inbox).values(received_at=old))
        await world.execute(
            sa.update(INBOX.inbox).where(INBOX.inbox.c.state == "done").values(done_at=old)
        )
        await consumer.keep_house()
        assert await world.states() == ["dead", "retry"]

    async def test_measures_what_waits(self, world: World) -> None:
        """Two consumers of one service share a registry."""
        registry = CollectorRegistry()
        broken = world.consumer(Recorder("a", broken={1: -1}), "a", registry=registry)
        healthy = world.consumer(Recorder("b"), "b", registry=registry)
        for consumer in (broken, healthy):
            await consumer.accept_deliveries([delivery_of(drawn(1))])
            await consumer.keep_house()
        assert registry.get_sample_value("gatehouse_inbox_retrying", {"queue": "a"}) == 1
        assert registry.get_sample_value("gatehouse_inbox_retrying", {"queue": "b"}) == 0

    async def test_caps_the_dead_letters(self, world: World) -> None:
        """Beyond the cap the oldest go."""
        inbox = Inbox("test", INBOX)
        async with world.database.transaction() as tx:
            for body in (b"1", b"2", b"3"):
                await inbox.bury(tx, Letter.unreadable(body), "unreadable")
        ages = {b"1": 3, b"2": 2, b"3": 1}
        for body, age in ages.items():
            moment = sa.func.now() - timedelta(hours=age)
            await world.execute(
                sa.update(INBOX.inbox).where(INBOX.inbox.c.body == body).values(received_at=moment)
            )
        async with world.database.transaction() as tx:
            assert await inbox.drop_dead(tx, keep=2, limit=10) == 1
        assert sorted(row.body for row in await world.rows(INBOX.inbox)) == [b"2", b"3"]

    async def test_forgets_the_dead_letters_about_a_person(self, world: World) -> None:
        """Those of every queue that name the person go, readable or not; all others stay."""
        person = uuid4()
        async with world.database.transaction() as tx:
            await Inbox("one", INBOX).bury(tx, Letter.unreadable(b"\xff%d" % person.int), "other")
            for queue in ("one", "two"):
                body = b"\xff" + queue.encode() + str(person).encode()
                await Inbox(queue, INBOX).bury(tx, Letter.unreadable(body), "broken")
        async with world.database.transaction() as tx:
            assert await forget_person(tx, INBOX, person) == 2
        assert [row.last_error for row in await world.rows(INBOX.inbox)] == ["other"]
