"""Connections stay open while they are in demand, and go when nobody has needed them."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta

import pytest
import sqlalchemy as sa

from chassis.database import Database, DatabaseUnavailable
from chassis.provisioning import admin_connection
from chassis.testing import eventually
from chassis.testing.servers import PostgresServer

PID = "SELECT pg_backend_pid() AS pid"
SOON = timedelta(milliseconds=250)


@pytest.fixture
async def database(postgres: PostgresServer) -> AsyncIterator[Database]:
    """Return a pool of one to four connections."""
    opened = Database(_url(postgres), pool_min=1, pool_max=4)
    yield opened
    await opened.close()


def _url(postgres: PostgresServer) -> str:
    return postgres.admin_url.replace("postgresql://", "postgresql+asyncpg://", 1)


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


async def still_open(postgres: PostgresServer, pids: set[int]) -> set[int]:
    """Return which of the backends are still there."""
    async with admin_connection(postgres.admin_url) as connection:
        rows = await connection.fetch("SELECT pid FROM pg_stat_activity")
    return pids & {row["pid"] for row in rows}


class TestPool:
    """How many there are."""

    async def test_a_burst_is_not_paid_for_twice(self, database: Database) -> None:
        """The second finds the connections of the first."""
        assert len(await at_once(database, 4) | await at_once(database, 4)) == 4

    async def test_what_nobody_needs_is_closed(self, postgres: PostgresServer) -> None:
        """Down to the least; a later burst has as many as the first."""
        database = Database(_url(postgres), pool_min=1, pool_max=4, idle_for=SOON)
        try:
            pids = await at_once(database, 4)

            async def one_is_left() -> bool:
                return len(await still_open(postgres, pids)) == 1

            await eventually(one_is_left)
            again = await at_once(database, 4)
            assert len(again) == 4
            assert len(again & pids) == 1
        finally:
            await database.close()

    async def test_one_that_is_about_to_be_closed_is_not_taken(
        self, postgres: PostgresServer
    ) -> None:
        """Whoever comes when its time is nearly up gets a fresh one: no call meets its end."""
        database = Database(_url(postgres), pool_min=0, pool_max=1, idle_for=SOON)
        try:
            first = await at_once(database, 1)

            async def gone() -> bool:
                return not await still_open(postgres, first)

            await eventually(gone)
            assert await at_once(database, 1) != first
        finally:
            await database.close()

    async def test_whoever_waits_gets_the_next(self, database: Database) -> None:
        """More takers than connections: each has its turn."""

        async def ask() -> int:
            async with database.transaction() as tx:
                return int(await tx.scalar(sa.text("SELECT 1")))

        assert await asyncio.gather(*(ask() for _ in range(40))) == [1] * 40

    async def test_closing_waits_for_those_on_their_way_back(
        self, database: Database, postgres: PostgresServer
    ) -> None:
        """Whoever held one was cancelled in the middle of a statement; none stays open."""
        pids: set[int] = set()
        sleeping = asyncio.Barrier(4)

        async def sleep() -> None:
            async with database.transaction() as tx:
                row = await tx.fetch_row(PID)
                assert row is not None
                pids.add(row["pid"])
                await sleeping.wait()
                await tx.fetch_row("SELECT pg_sleep(60)")

        async with asyncio.timeout(30):
            tasks = [asyncio.create_task(sleep()) for _ in range(3)]
            await sleeping.wait()
            for task in tasks:
                task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*tasks)
            await database.close()

        async def closed() -> bool:
            return not await still_open(postgres, pids)

        await eventually(closed)

    async def test_what_comes_back_after_the_end_is_closed(
        self, database: Database, postgres: PostgresServer
    ) -> None:
        """Nobody would ever ask for it again."""
        async with database.statements() as each:
            row = await each.fetch_row(PID)
            await database.close()
        assert row is not None
        pids = {int(row["pid"])}

        async def closed() -> bool:
            return not await still_open(postgres, pids)

        await eventually(closed)


class TestInterruption:
    """Whoever held a connection is cancelled."""

    async def test_its_connection_is_not_used_again(self, database: Database) -> None:
        """A statement may still run there; the next one has another, and nothing was committed."""
        at_work = asyncio.Event()

        async def sleep() -> None:
            async with database.transaction() as tx:
                await tx.fetch_row("SET SESSION work_mem = 64")
                at_work.set()
                await tx.fetch_row("SELECT pg_sleep(60)")

        task = asyncio.create_task(sleep())
        await at_work.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with database.transaction() as tx:
            row = await tx.fetch_row("SELECT setting FROM pg_settings WHERE name = 'work_mem'")
        assert row is not None
        assert row["setting"] != "64"

    @pytest.mark.slow
    async def test_a_loop_that_ends_then_ends(self, postgres: PostgresServer) -> None:
        """Hundreds of loops, each ended by whatever the moment was."""
        module = "chassis.tests.ending_loops"
        ending = await asyncio.create_subprocess_exec(
            sys.executable, "-W", "ignore", "-m", module, _url(postgres), "300",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            async with asyncio.timeout(90):
                assert await ending.wait() == 0
        finally:
            with suppress(ProcessLookupError):
                ending.kill()


class TestStatements:
    """A connection without a transaction."""

    async def test_each_stands_alone(self, database: Database) -> None:
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

    async def test_an_absent_database_has_its_name(self, database: Database) -> None:
        """The same as in transactions."""
        with pytest.raises(DatabaseUnavailable):
            async with database.statements() as each:
                await each.fetch_row("SELECT pg_terminate_backend(pg_backend_pid())")
        await database.ping()
