"""The outbox: what is written with a transaction, and what a relay finds there."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from chassis.caller import Caller, Principal
from chassis.clock import SystemClock
from chassis.ids import uuid7
from chassis.outbox_rows import OutboxRows
from chassis.tests.event_world import OUTBOX, DrawNumber, NumberDrawn, World
from contracts.envelope import CloudEvent

USER = UUID("01890000-0000-7000-8000-000000000001")
CALLER = Caller(
    issuer="gateway",
    principal=Principal(user_id=USER, session_id=uuid4(), roles=frozenset(), version=3),
    client_address="203.0.113.9",
    user_agent="Mozilla\r\n/5.0\x00\ud800" + "x" * 600,
    request_id="r1",
    traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
)


class TestEmit:
    """A fact is written in the transaction of what it tells."""

    async def test_writes_the_whole_envelope(self, world: World) -> None:
        """The row holds the event that emit returned, with its origin."""
        async with world.database.transaction() as tx:
            event = await world.outbox.emit(
                tx, NumberDrawn(number=4), subject="s", caller=CALLER, subjectversion=3
            )
        [row] = await world.rows(OUTBOX.outbox)
        assert CloudEvent.from_dict(row.body) == event
        assert (row.exchange, row.routing_key) == ("auth.events", "test.number.drawn.v1")
        assert (event.id.version, event.source, event.subjectversion) == (7, "/test", 3)
        assert (event.actor, event.ip) == (str(USER), "203.0.113.9")
        assert event.traceparent == CALLER.traceparent
        assert event.dataschema == "urn:gatehouse:schema:test.number.drawn.v1"

    async def test_makes_the_user_agent_harmless(self, world: World) -> None:
        """It is cut, and what could break a log line or a database is replaced."""
        async with world.database.transaction() as tx:
            event = await world.outbox.emit(tx, NumberDrawn(number=4), subject="s", caller=CALLER)
        assert event.useragent is not None
        assert len(event.useragent) == 512
        assert event.useragent.startswith("Mozilla\ufffd\ufffd/5.0\ufffd\ufffdxxx")

    async def test_rolled_back_tells_nobody(self, world: World) -> None:
        """Without the commit there is no row and no wake-up."""

        async def fail() -> None:
            async with world.database.transaction() as tx:
                await world.outbox.emit(tx, NumberDrawn(number=4), subject="s", caller=None)
                raise LookupError

        with pytest.raises(LookupError):
            await fail()
        assert await world.rows(OUTBOX.outbox) == []
        assert not world.outbox.written.is_set()

    async def test_wakes_the_relay_after_the_commit(self, world: World) -> None:
        """The pusher only for what is urgent."""
        await world.emit([1])
        assert (world.outbox.written.is_set(), world.outbox.urgent_written.is_set()) == (
            True,
            False,
        )
        await world.emit([2], urgent=True)
        assert world.outbox.urgent_written.is_set()


class TestSend:
    """A private order goes to the commands exchange."""

    async def test_takes_the_id_a_secret_was_sealed_with(self, world: World) -> None:
        """The id given is the id of the command."""
        command_id = uuid7(SystemClock())
        async with world.database.transaction() as tx:
            sent = await world.outbox.send(
                tx, DrawNumber(number=1), caller=CALLER, command_id=command_id
            )
        [row] = await world.rows(OUTBOX.outbox)
        assert sent == row.event_id == command_id
        assert (row.exchange, row.producerseq) == ("auth.commands", None)


class TestClaim:
    """Rows are leased and numbered once."""

    async def test_numbers_without_gaps_under_contention(self, world: World) -> None:
        """Eight relays claiming at once number 80 events from 1 to 80."""
        await world.emit(range(80))
        rows = [OutboxRows(OUTBOX, world.database) for _ in range(8)]
        lease = timedelta(minutes=1)
        claims = await asyncio.gather(
            *(one.claim_unpublished(uuid4(), lease=lease, limit=5) for one in rows * 2)
        )
        numbers = [int(row.event.producerseq or 0) for claim in claims for row in claim]
        assert sorted(numbers) == list(range(1, 81))

    async def test_leased_rows_are_left_alone(self, world: World) -> None:
        """A second relay gets nothing while the lease runs, all of it afterwards."""
        await world.emit([1, 2])
        rows = OutboxRows(OUTBOX, world.database)
        first = await rows.claim_unpublished(uuid4(), lease=timedelta(minutes=1), limit=10)
        assert await rows.claim_unpublished(uuid4(), lease=timedelta(0), limit=10) == []
        expire = sa.update(OUTBOX.outbox).values(leased_until=sa.func.now() - timedelta(1))
        await world.execute(expire)
        assert await rows.claim_unpublished(uuid4(), lease=timedelta(0), limit=10) == first

    async def test_released_rows_are_due_at_once(self, world: World) -> None:
        """What the only process finds leased was leased by its dead predecessor."""
        await world.emit([1], urgent=True)
        rows = OutboxRows(OUTBOX, world.database)
        await rows.claim_unpublished(uuid4(), lease=timedelta(minutes=1), limit=10)
        await rows.claim_unpushed(lease=timedelta(minutes=1), limit=10)
        await rows.release_all()
        assert len(await rows.claim_unpublished(uuid4(), lease=timedelta(0), limit=10)) == 1
        assert len(await rows.claim_unpushed(lease=timedelta(0), limit=10)) == 1


class TestPrune:
    """Published rows are kept for their retention; others for as long as it takes."""

    async def test_drops_only_what_was_published_long_ago(self, world: World) -> None:
        """Unpublished, unpushed and young rows stay."""
        await world.emit([1, 2, 3])
        await world.emit([4, 5], urgent=True)
        c = OUTBOX.outbox.c
        old = sa.func.now() - timedelta(days=8)
        number = c.body["data"]["number"].as_integer()
        await world.execute(
            sa.update(OUTBOX.outbox).where(number.in_([2, 4, 5])).values(published_at=old)
        )
        await world.execute(sa.update(OUTBOX.outbox).where(number == 5).values(pushed_at=old))
        await world.execute(
            sa.update(OUTBOX.outbox).where(number == 3).values(published_at=sa.func.now())
        )
        rows = OutboxRows(OUTBOX, world.database)
        assert await rows.prune(retention=timedelta(days=7), limit=10) == 2
        kept = [row.body["data"]["number"] for row in await world.rows(OUTBOX.outbox)]
        assert kept == [1, 3, 4]
