"""Connections stay open while they are in demand, and go when nobody has needed them."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa

from chassis.database import Database, DatabaseUnavailable
from chassis.pooling import Demand
from chassis.provisioning import admin_connection
from chassis.testing import eventually
from chassis.testing.servers import PostgresServer

PID = "SELECT pg_backend_pid() AS pid"


class Watch:
    """Seconds that a test lets pass."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """Tell them."""
        return self.seconds


@pytest.fixture
def watch() -> Watch:
    """Return a watch at 0."""
    return Watch()


@pytest.fixture
async def database(postgres: PostgresServer, watch: Watch) -> AsyncIterator[Database]:
    """Return a pool of one to four connections."""
    url = postgres.admin_url.replace("postgresql://", "postgresql+asyncpg://", 1)
    opened = Database(url, pool_min=1, pool_max=4)
    opened._pool._demand = Demand(now=watch)
    yield opened
    await opened.close()


async def at_once(database: Database, number: int) -> set[int]:
    """Take that many connections at the same time; return the backends behind them."""
    together = asyncio.Barrier(number)

    async def take() -> int:
        async with database.transaction() as tx:
            await together.wait()
            row = await tx.fetch_row(PID)
            assert row is not None
            pid: int = row["pid"]
            return pid

    return set(await asyncio.gather(*(take() for _ in range(number))))


class TestDemand:
    """What is kept at hand, by the numbers alone."""

    def test_everything_is_before_a_window_has_passed(self, watch: Watch) -> None:
        """Nobody knows yet what will be needed."""
        assert Demand(now=watch).covers(9)

    def test_what_a_whole_window_did_without_is_not(self, watch: Watch) -> None:
        """As many as were needed at once in the window before, or are in this one."""
        demand = Demand(seconds=30, now=watch)
        demand.take()
        demand.take()
        demand.give_back()
        demand.give_back()
        watch.seconds = 30
        demand.take()
        demand.give_back()
        assert [demand.covers(n) for n in (1, 2, 3)] == [True, True, False]
        watch.seconds = 60
        demand.take()
        demand.give_back()
        assert [demand.covers(n) for n in (1, 2)] == [True, False]


class TestPool:
    """The same with PostgreSQL."""

    async def test_a_burst_is_not_paid_for_twice(self, database: Database) -> None:
        """The second finds the connections of the first."""
        assert len(await at_once(database, 4) | await at_once(database, 4)) == 4

    async def test_idle_connections_are_closed_in_time(
        self, database: Database, watch: Watch, postgres: PostgresServer
    ) -> None:
        """After a quiet window, one with each return, until the least is left."""
        pids = await at_once(database, 4)
        for seconds in (30, 60, 60, 60, 60):
            watch.seconds = seconds
            await database.ping()

        async def closed() -> bool:
            async with admin_connection(postgres.admin_url) as connection:
                open_ = await connection.fetch("SELECT pid FROM pg_stat_activity")
            return len(pids & {row["pid"] for row in open_}) <= 2  # at hand, and the engine's least

        await eventually(closed)
        assert len(await at_once(database, 4)) == 4

    async def test_whoever_waits_gets_the_next(self, database: Database) -> None:
        """More takers than connections: each has its turn."""

        async def ask() -> int:
            async with database.transaction() as tx:
                return int(await tx.scalar(sa.text("SELECT 1")))

        assert await asyncio.gather(*(ask() for _ in range(40))) == [1] * 40

    async def test_statements_stand_alone(self, database: Database) -> None:
        """What one did stays, whatever becomes of the next; the connection is as before."""
        async with database.statements() as each:
            await each.fetch_rows("CREATE TEMPORARY TABLE alone (n integer)")
            await each.fetch_row("INSERT INTO alone VALUES (1)")
            with pytest.raises(Exception, match="division by zero"):
                await each.fetch_row("INSERT INTO alone SELECT 1 / 0")
            rows = await each.fetch_rows("SELECT n FROM alone")
        assert [row["n"] for row in rows] == [1]
        async with database.transaction() as tx:
            assert await tx.scalar(sa.text("SELECT count(*) FROM alone")) == 1

    async def test_statements_know_an_absent_database(self, database: Database) -> None:
        """By the same name as transactions do."""
        with pytest.raises(DatabaseUnavailable):
            async with database.statements() as each:
                await each.fetch_row("SELECT pg_terminate_backend(pg_backend_pid())")
        await database.ping()
