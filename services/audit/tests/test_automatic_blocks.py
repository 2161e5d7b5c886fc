"""Blocks by a detection, and time passing, on a real database with a clock of its own."""

from datetime import timedelta
from ipaddress import ip_address, ip_network

import pytest
import sqlalchemy as sa

from chassis.outbox import Outbox
from chassis.testing.clock import FixedClock
from services.audit.domain.ip_blocks import IpBlock, Wanted
from services.audit.errors import IpBlockExists, TooManyIpBlocks
from services.audit.models import OUTBOX
from services.audit.service.ip_blocks import IpBlocks
from services.audit.tests.world import World, caller

HOUR = timedelta(hours=1)


@pytest.fixture
def clock() -> FixedClock:
    """Give the time."""
    return FixedClock()


@pytest.fixture
def blocks(world: World, clock: FixedClock) -> IpBlocks:
    """Give the use cases; 203.0.113.0/28 is the operator's own, and three blocks are the most."""
    return IpBlocks(
        database=world.database,
        outbox=Outbox("audit", OUTBOX, clock),
        clock=clock,
        protected=[ip_network("203.0.113.0/28")],
        most=3,
    )


async def detect(blocks: IpBlocks, address: str, duration: timedelta = HOUR) -> IpBlock | None:
    """Block as the detector does."""
    async with blocks.database.transaction() as tx:
        return await blocks.block_automatically(
            tx, ip_address(address), reason="password_spraying", duration=duration
        )


async def events(world: World) -> list[str]:
    """Return what was told, in order."""
    rows = await world.rows(sa.select(OUTBOX.outbox.c.routing_key).order_by(OUTBOX.outbox.c.id))
    return [row.routing_key.split(".")[2] for row in rows]


def wanted(cidr: str, expires_at: timedelta | None = None, *, clock: FixedClock) -> Wanted:
    """Return what an administrator asks for."""
    until = None if expires_at is None else clock.now() + expires_at
    return Wanted(network=ip_network(cidr), reason="scans", expires_at=until, force=False)


class TestDetection:
    """`block_automatically`."""

    async def test_blocks_a_stranger_for_a_time(self, blocks: IpBlocks, world: World) -> None:
        """With its cause."""
        block = await detect(blocks, "203.0.113.77")

        assert block is not None
        assert (str(block.network), block.cause) == ("203.0.113.77/32", "detection")
        assert block.expires_at == blocks.clock.now() + HOUR
        assert await events(world) == ["blocked"]

    @pytest.mark.parametrize("address", ["203.0.113.7", "127.0.0.1", "fd00::1"])
    async def test_never_blocks_the_protected(
        self, blocks: IpBlocks, world: World, address: str
    ) -> None:
        """Nothing is stored, nothing is told."""
        assert await detect(blocks, address) is None
        assert (await blocks.read(None)).blocks == []
        assert await events(world) == []

    async def test_makes_a_block_last_longer_but_never_shorter(
        self, blocks: IpBlocks, world: World
    ) -> None:
        """One row, told anew when it changed, under a new revision."""
        first = await detect(blocks, "203.0.113.77")
        before = (await blocks.read(None)).revision
        longer = await detect(blocks, "203.0.113.77", 2 * HOUR)
        after = (await blocks.read(before)).revision
        shorter = await detect(blocks, "203.0.113.77", HOUR)

        assert first is not None
        assert longer is not None
        assert (longer.id, shorter) == (first.id, None)
        assert longer.expires_at == blocks.clock.now() + 2 * HOUR
        assert before != after
        assert await events(world) == ["blocked", "blocked"]

    async def test_leaves_an_administrators_endless_block_alone(
        self, blocks: IpBlocks, clock: FixedClock
    ) -> None:
        """It lasts longer than anything."""
        await blocks.block(caller("admin"), wanted("203.0.113.77/32", clock=clock))

        assert await detect(blocks, "203.0.113.77") is None

    async def test_stops_at_the_most_there_may_be(
        self, blocks: IpBlocks, clock: FixedClock
    ) -> None:
        """A detection passes over, an administrator is told."""
        for number in range(3):
            assert await detect(blocks, f"203.0.113.{77 + number}")

        assert await detect(blocks, "203.0.113.99") is None
        with pytest.raises(TooManyIpBlocks):
            await blocks.block(caller("admin"), wanted("203.0.113.100/32", clock=clock))
        assert len((await blocks.read(None)).blocks or ()) == 3


class TestTime:
    """Blocks that ran out."""

    async def test_is_told_once(self, blocks: IpBlocks, world: World, clock: FixedClock) -> None:
        """Exactly at its end, not before."""
        await detect(blocks, "203.0.113.77")
        clock.advance(HOUR - timedelta(microseconds=1))
        early = await blocks.expire()
        clock.advance(timedelta(microseconds=1))

        assert (early, await blocks.expire(), await blocks.expire()) == (0, 1, 0)
        assert await events(world) == ["blocked", "unblocked"]

    async def test_makes_room_for_the_same_network(
        self, blocks: IpBlocks, world: World, clock: FixedClock
    ) -> None:
        """Also before the background task came by."""
        ask = wanted("203.0.113.77/32", HOUR, clock=clock)
        await blocks.block(caller("admin"), ask)
        with pytest.raises(IpBlockExists):
            await blocks.block(caller("admin"), ask)
        clock.advance(HOUR)
        await blocks.block(caller("admin"), wanted("203.0.113.77/32", HOUR, clock=clock))

        assert await events(world) == ["blocked", "unblocked", "blocked"]
        assert len((await blocks.read(None)).blocks or ()) == 1
