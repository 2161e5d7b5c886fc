"""Fixtures of audit's tests."""

from collections.abc import AsyncIterator

import pytest

from chassis.testing.fixtures import MakeDatabase
from services.audit.tests.world import MIGRATIONS, World


@pytest.fixture
async def world(make_database: MakeDatabase) -> AsyncIterator[World]:
    """Give an audit service over an empty database."""
    world = World(await make_database("audit", MIGRATIONS))
    yield world
    await world.database.close()
