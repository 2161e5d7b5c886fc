"""Fixtures of identity's tests: a migrated database, a clock, a running service."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from chassis.testing import FixedClock
from chassis.testing.fixtures import MakeDatabase
from services.identity.tests.kit import MIGRATIONS, World, run_world

MakeWorld = Callable[..., AbstractAsyncContextManager[World]]


@pytest.fixture
def clock() -> FixedClock:
    """Give a clock that stands still."""
    return FixedClock()


@pytest.fixture
async def world(make_database: MakeDatabase, clock: FixedClock) -> AsyncIterator[World]:
    """Give a running identity service with the default settings."""
    database = await make_database("identity", MIGRATIONS)
    async with run_world(database, clock) as running:
        yield running


@pytest.fixture
async def worlds(make_database: MakeDatabase, clock: FixedClock) -> Callable[..., Any]:
    """Give a factory of services with other settings, all on one database of this test."""
    database = await make_database("identity", MIGRATIONS)

    def make(**overrides: Any) -> AbstractAsyncContextManager[World]:
        return run_world(database, clock, **overrides)

    return make
