"""Use cases under concurrency and over time."""

import asyncio

from chassis.database import Database
from services.audit.domain.filters import Filters
from services.audit.repository import partitions
from services.audit.tests.samples import event, user_id
from services.audit.tests.world import World, caller


class TestSequenceWatch:
    """Each producer numbers what it published; a number that is missing never arrived."""

    async def test_reports_what_is_missing(self, world: World) -> None:
        """Per source, as a metric."""
        numbers = {"identity": (1, 2, 5), "token": (1, 2)}
        await world.deliver(
            *(
                event("identity.user.enabled.v1", source=source).numbered(number)
                for source, seen in numbers.items()
                for number in seen
            ),
            event("gateway.request.denied.v1"),
        )

        assert await world.watch.watch() == {"identity": 2, "token": 0}
        assert world.sample("gatehouse_audit_missing_events", source="identity") == 2

    async def test_closes_gaps_that_fill(self, world: World) -> None:
        """Out of order is not missing."""
        await world.deliver(event("identity.user.enabled.v1").numbered(1))
        await world.deliver(event("identity.user.enabled.v1").numbered(5))
        assert await world.watch.watch() == {"identity": 3}

        await world.deliver(event("identity.user.enabled.v1").numbered(3))
        assert await world.watch.watch() == {"identity": 2}

        await world.deliver(*(event("identity.user.enabled.v1").numbered(n) for n in (2, 4)))
        assert await world.watch.watch() == {"identity": 0}

    async def test_counts_what_came_before_the_first(self, world: World) -> None:
        """A producer's numbers begin at 1."""
        await world.deliver(event("identity.user.enabled.v1").numbered(4))

        assert await world.watch.watch() == {"identity": 3}

    async def test_has_one_watcher_at_a_time(self, world: World) -> None:
        """Replicas take turns instead of noting the same gap twice."""
        await world.deliver(event("identity.user.enabled.v1").numbered(4))

        await asyncio.gather(*(world.watch.watch() for _ in range(3)))

        assert await world.watch.watch() == {"identity": 3}


class TestConcurrency:
    """Several replicas over one database."""

    async def test_an_erasure_and_late_events_leave_nothing(self, world: World) -> None:
        """Whatever the order, no personal record of the erased person is left."""
        person = user_id()
        other = World(world.fresh)
        deletion = event("identity.user.deleted.v1", data={"user_id": person})
        late = [event("token.session.ended.v1", data={"user_id": person}) for _ in range(40)]

        await asyncio.gather(
            *(one.deliver(happened) for happened in late[:20] for one in (world, other)),
            other.deliver(deletion),
            *(one.deliver(happened) for happened in late[20:] for one in (world, other)),
        )

        await other.database.close()
        assert len(await world.log()) == 41
        assert await world.personal() == []

    async def test_replicas_make_partitions_once(self, world: World) -> None:
        """Four processes starting at once, with readers and writers on the way."""
        replicas = [World(world.fresh) for _ in range(3)]
        reader = caller("admin")

        made = await asyncio.gather(*(one.partitions.ensure() for one in (world, *replicas)))
        await asyncio.gather(
            *(one.deliver(event("identity.user.enabled.v1")) for one in replicas),
            *(one.reading.list_entries(reader, Filters(), after=None, limit=5) for one in replicas),
        )

        for one in replicas:
            await one.database.close()
        assert sum(made) == 4
        assert len(await world.log()) == 6
        assert await _default_rows(world.database) == 0

    async def test_first_readers_and_writers_do_not_wait_in_a_circle(self, world: World) -> None:
        """Before any partition is there, all of them begin at once."""
        reader = caller("admin")

        await asyncio.gather(
            *(world.reading.list_entries(reader, Filters(), after=None, limit=5) for _ in range(3)),
            world.deliver(event("identity.user.enabled.v1")),
            world.partitions.ensure(),
        )

        assert len(await world.log()) == 4
        assert await _default_rows(world.database) == 0


async def _default_rows(database: Database) -> int:
    async with database.transaction() as tx:
        return await partitions.count_default(tx)
