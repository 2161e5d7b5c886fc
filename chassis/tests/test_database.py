"""Transactions: all or nothing, and one name for a database that is away."""

from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import ProgrammingError

from chassis.database import Database, DatabaseUnavailable, LostTransactionError
from chassis.processes import free_port
from chassis.testing.servers import PostgresServer

COUNT = sa.text("SELECT count(*) FROM pg_settings WHERE name = 'work_mem' AND setting = '64'")
SET = sa.text("SET SESSION work_mem = 64")
WRONG = sa.text("SELECT nothing FROM nowhere")


def _url(server: PostgresServer) -> str:
    return server.admin_url.replace("postgresql://", "postgresql+asyncpg://", 1)


@pytest.fixture
async def database(postgres: PostgresServer) -> AsyncIterator[Database]:
    """Return a pool of exactly one connection, which makes leaks visible."""
    opened = Database(_url(postgres), pool_min=1, pool_max=1, timeout=5)
    yield opened
    await opened.close()


class TestTransaction:
    """One block, one commit."""

    async def test_commits_and_then_does_what_waited(self, database: Database) -> None:
        """`after_commit` runs once, after the block."""
        done: list[str] = []
        async with database.transaction() as tx:
            await tx.execute(SET)
            tx.after_commit(lambda: done.append("committed"))
            assert done == []
        assert done == ["committed"]
        async with database.transaction() as tx:
            assert await tx.scalar(COUNT) == 1

    async def test_rolls_back_when_the_block_raises(self, database: Database) -> None:
        """Nothing of it stays, nothing that waited is done."""
        done: list[str] = []
        with pytest.raises(KeyError):
            async with database.transaction() as tx:
                await tx.execute(SET)
                tx.after_commit(lambda: done.append("committed"))
                raise KeyError
        async with database.transaction() as tx:
            assert await tx.scalar(COUNT) == 0
        assert done == []

    async def test_a_wrong_statement_is_a_fault_of_ours(self, database: Database) -> None:
        """It is not disguised as an absent database, and shows no parameters."""
        with pytest.raises(ProgrammingError):
            async with database.transaction() as tx:
                await tx.execute(WRONG)

    async def test_a_swallowed_failure_is_never_a_silent_rollback(self, database: Database) -> None:
        """Going on after a failed statement raises instead of pretending a commit."""
        with pytest.raises(LostTransactionError):
            async with database.transaction() as tx:
                with pytest.raises(ProgrammingError):
                    await tx.execute(WRONG)

    async def test_a_timeout_of_something_else_keeps_its_name(self, database: Database) -> None:
        """Only statements speak for the database."""
        with pytest.raises(TimeoutError):
            async with database.transaction() as tx:
                await tx.execute(SET)
                raise TimeoutError


class TestAnAbsentDatabase:
    """503 and Retry-After, whatever way it is away."""

    async def test_nobody_listens(self) -> None:
        """A refused connection."""
        database = Database(f"postgresql+asyncpg://u:p@127.0.0.1:{free_port()}/d")
        with pytest.raises(DatabaseUnavailable) as caught:
            await database.ping()
        assert caught.value.retry_after == 1
        await database.close()

    async def test_no_connection_is_left(self, postgres: PostgresServer) -> None:
        """Who waits too long for the pool is told so."""
        database = Database(_url(postgres), pool_min=1, pool_max=1, timeout=0.2)
        async with database.transaction():
            with pytest.raises(DatabaseUnavailable):
                await database.ping()
        await database.ping()
        await database.close()

    async def test_the_server_ends_the_connection(self, database: Database) -> None:
        """Inside a transaction it is told; the next transaction has a new connection."""
        end = sa.text("SELECT pg_terminate_backend(pg_backend_pid())")
        with pytest.raises(DatabaseUnavailable):
            async with database.transaction() as tx:
                await tx.execute(end)
        await database.ping()
