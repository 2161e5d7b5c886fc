"""Fixtures of the event tests: a little service's database, and both buses."""

from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from chassis.bus import EventBus, QueueSpec
from chassis.database import Database
from chassis.rabbitmq import RabbitMQBus
from chassis.testing.fixtures import MakeDatabase
from chassis.tests.event_world import World, create_tables, open_bus

MakeBus = Callable[[Sequence[QueueSpec]], EventBus]


@pytest.fixture
async def world(make_database: MakeDatabase) -> AsyncIterator[World]:
    """Give a little service with an empty outbox and inbox."""
    fresh = await make_database("events")
    await create_tables(fresh.owner_url)
    database = Database(fresh.owner_url)
    yield World(database)
    await database.close()


@pytest.fixture(params=["in process", pytest.param("rabbitmq", marks=pytest.mark.real)])
def make_bus(request: pytest.FixtureRequest) -> MakeBus:
    """Give a factory of buses: each is a new process's, all meet the same queues."""
    if request.param == "in process":
        return open_bus
    url: str = request.getfixturevalue("rabbitmq_url")
    return lambda queues: RabbitMQBus(url, name="tests", queues=queues)
