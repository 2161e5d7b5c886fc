"""Fixtures of identity's tests: an empty database, a clock, a running service."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa

from chassis.database import Database
from chassis.testing import FixedClock, FreshDatabase
from chassis.testing.servers import PostgresServer, Servers
from services.identity.models import metadata, roles
from services.identity.tests.configuration import MIGRATIONS
from services.identity.tests.kit import World, run_world

T = TypeVar("T")


@pytest.fixture
def clock() -> FixedClock:
    """Give a clock that stands still."""
    return FixedClock()


@pytest.fixture(scope="session")
def shared_database(servers: Servers, postgres: PostgresServer) -> Iterator[FreshDatabase]:
    """Give one migrated database for the whole run: making one costs more than most tests."""
    databases = servers.databases(postgres)
    database = _outside(databases.create("identity", MIGRATIONS))
    yield database
    _outside(databases.drop(database))


@pytest.fixture
async def database(shared_database: FreshDatabase) -> FreshDatabase:
    """Give the shared database, emptied but for the roles."""
    owner = Database(shared_database.owner_url, pool_min=1, pool_max=1)
    async with owner.transaction() as tx:
        for table in reversed(metadata.sorted_tables):
            if table is not roles:
                await tx.execute(sa.delete(table))
    await owner.close()
    return shared_database


@pytest.fixture
async def world(database: FreshDatabase, clock: FixedClock) -> AsyncIterator[World]:
    """Give a running identity service with the default settings."""
    async with run_world(database, clock) as running:
        yield running


@pytest.fixture
def worlds(
    database: FreshDatabase, clock: FixedClock
) -> Callable[..., AbstractAsyncContextManager[World]]:
    """Give a factory of services with other settings, all on one database of this test."""

    def make(**overrides: Any) -> AbstractAsyncContextManager[World]:
        return run_world(database, clock, **overrides)

    return make


def _outside(work: Coroutine[Any, Any, T]) -> T:
    """Run *work* on a loop of its own, away from the tests' loop."""
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(asyncio.run, work).result()
