"""Fixtures of audit's tests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import asyncpg
import pytest

from chassis.app import Deployable
from chassis.crypto import b64encode
from chassis.inprocess import InProcessBus
from chassis.provisioning import admin_connection
from chassis.testing.fixtures import MakeDatabase
from services.audit.app import build
from services.audit.archive_store.folder import FolderStore
from services.audit.consumers import QUEUE
from services.audit.settings import AuditSettings
from services.audit.tests.past import FEBRUARY, JANUARY, MARCH, Past
from services.audit.tests.running import SECRET, Service
from services.audit.tests.samples import event
from services.audit.tests.watch import Door, Watch
from services.audit.tests.world import MIGRATIONS, World


@pytest.fixture
async def world(make_database: MakeDatabase) -> AsyncIterator[World]:
    """Give an audit service over an empty database."""
    world = World(await make_database("audit", MIGRATIONS))
    yield world
    await world.database.close()


@pytest.fixture
async def service(make_database: MakeDatabase) -> AsyncIterator[Service]:
    """Give the service as `make run` runs it: on the in-process bus."""
    fresh = await make_database("audit", MIGRATIONS)
    settings = AuditSettings(
        database_url=fresh.app_url,
        database_pool_min=1,
        assertion_secrets_from_gateway=b64encode(SECRET),
    )
    bus = InProcessBus([QUEUE])
    deployable = build(settings, bus=bus)
    world = World(fresh)
    async with _running(deployable):
        bus.open()
        yield Service(deployable, bus, world)
    await world.database.close()


@asynccontextmanager
async def _running(deployable: Deployable) -> AsyncIterator[None]:
    async with deployable.lifespan():
        deployable.health.started = True
        yield


@pytest.fixture
async def recorded(world: World) -> World:
    """Give a log with one row."""
    await world.deliver(event("identity.login.succeeded.v1"))
    return world


@pytest.fixture
async def app(recorded: World) -> AsyncIterator[asyncpg.Connection]:
    """Give a connection of the app role."""
    async with admin_connection(recorded.fresh.app_url) as connection:
        yield connection


@pytest.fixture
async def owner(recorded: World) -> AsyncIterator[asyncpg.Connection]:
    """Give a connection of the owner."""
    async with admin_connection(recorded.fresh.owner_url) as connection:
        yield connection


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give where archives are kept."""
    return tmp_path / "archive"


@pytest.fixture
async def past(make_database: MakeDatabase, folder: Path) -> AsyncIterator[Past]:
    """Give a log with January and February of 2020, seven rows and one."""
    past = Past(await make_database("audit", MIGRATIONS), FolderStore(str(folder)))
    await past.month(JANUARY, FEBRUARY)
    await past.month(FEBRUARY, MARCH)
    await past.happened(*(event("identity.login.succeeded.v1") for _ in range(7)), at=JANUARY)
    last = MARCH - timedelta(microseconds=1)
    await past.happened(event("identity.login.succeeded.v1"), at=last)
    yield past
    await past.close()


@pytest.fixture
def watch(world: World) -> Watch:
    """Give audit with its detector; 192.0.2.0/24 is the operator's own."""
    return Watch(world, protected=[ip_network("192.0.2.0/24")])


@pytest.fixture
def door(watch: Watch) -> Door:
    """Give the maker of events."""
    return Door(watch.clock)
