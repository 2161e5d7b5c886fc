"""Fixtures of token's tests: a migrated database, a clock, a running service."""

from collections.abc import AsyncIterator

import pytest

from chassis.testing import FixedClock
from chassis.testing.fixtures import MakeDatabase
from chassis.testing.servers import PostgresServer
from services.token.tests.kit import MIGRATIONS, World, run_world


@pytest.fixture
def postgres_server(each_postgres: PostgresServer) -> PostgresServer:
    """Run on every PostgreSQL of this machine."""
    return each_postgres


@pytest.fixture
def clock() -> FixedClock:
    """Give a clock that stands still."""
    return FixedClock()


@pytest.fixture
async def world(make_database: MakeDatabase, clock: FixedClock) -> AsyncIterator[World]:
    """Give a running token service with the default settings."""
    database = await make_database("token", MIGRATIONS)
    async with run_world(database, clock) as running:
        yield running
