"""The fixtures of the test suites, loaded by the root conftest.py as a pytest plugin.

Servers are session fixtures without an event loop that hand out URLs or server objects; each test
gets databases and virtual hosts of its own, all named `gatehouse_test_*`.

A folder whose tests shall run on every PostgreSQL there is overrides one fixture in its conftest:

    @pytest.fixture(scope="session")
    def postgres_server(each_postgres: PostgresServer) -> PostgresServer:
        return each_postgres
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from chassis.provisioning import TEST_PREFIX
from chassis.testing.databases import FreshDatabase
from chassis.testing.servers import (
    PostgresServer,
    RabbitMQServer,
    RedisServer,
    ServerMissingError,
    Servers,
)

T = TypeVar("T")

_SERVERS = pytest.StashKey[Servers]()


_SERVER_FIXTURES = frozenset({"servers", "postgres", "each_postgres", "redis", "rabbitmq"})


class MakeDatabase(Protocol):
    """The factory that the fixture `make_database` gives."""

    async def __call__(self, name: str, script_location: Path | None = None) -> FreshDatabase:
        """Make a database for service *name*, migrated by its tree, dropped after the test."""
        ...


def pytest_configure(config: pytest.Config) -> None:
    """Prepare the run's servers; none is started before a test wants it."""

    def say(line: str) -> None:
        capture = config.pluginmanager.getplugin("capturemanager")
        reporter = config.pluginmanager.getplugin("terminalreporter")
        if capture is not None and reporter is not None:
            with capture.global_and_fixture_disabled():
                reporter.write_line(line)

    config.stash[_SERVERS] = Servers(say=say)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop whatever runs."""
    config.stash[_SERVERS].close()


def pytest_report_header(config: pytest.Config) -> str:
    """Say which PostgreSQL versions this run has."""
    try:
        offers = config.stash[_SERVERS].postgres_offers()
    except ServerMissingError as reason:
        return f"postgresql: {reason}"
    return "postgresql: " + ", ".join(offer.version for offer in offers)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Repeat a test that wants `each_postgres` for every version; beyond the first it is `real`."""
    if "each_postgres" not in metafunc.fixturenames:
        return
    offers = _or_exit(metafunc.config.stash[_SERVERS].postgres_offers)
    versions = [
        pytest.param(
            offer,
            id=f"postgresql-{offer.version}",
            marks=[pytest.mark.real] if offer is not offers[0] else [],
        )
        for offer in offers
    ]
    metafunc.parametrize("each_postgres", versions, indirect=True, scope="session")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what wants a server, so that `make test-fast` can leave it out."""
    for item in items:
        if _SERVER_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.server)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start RabbitMQ beside the first tests when any of the collected ones needs it."""
    if session.config.option.collectonly:
        return
    wanted = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    if "rabbitmq" in wanted:
        _or_exit(session.config.stash[_SERVERS].launch_rabbitmq)


def _or_exit(start: Callable[[], T]) -> T:
    """Start a server, or end the whole run with one line: never skip."""
    try:
        return start()
    except ServerMissingError as reason:
        pytest.exit(str(reason), returncode=1)


@pytest.fixture(scope="session")
def servers(pytestconfig: pytest.Config) -> Servers:
    """Give the servers of this run."""
    return pytestconfig.stash[_SERVERS]


@pytest.fixture(scope="session")
def postgres(servers: Servers) -> PostgresServer:
    """Give the preferred PostgreSQL (the wheel's where there is one)."""
    return _or_exit(servers.postgres)


@pytest.fixture(scope="session")
def each_postgres(request: pytest.FixtureRequest, servers: Servers) -> PostgresServer:
    """Give every PostgreSQL version of this machine in turn."""
    return _or_exit(lambda: servers.postgres(request.param))


@pytest.fixture(scope="session")
def postgres_servers(servers: Servers) -> list[PostgresServer]:
    """Give all PostgreSQL versions of this machine at once."""
    return [servers.postgres(offer) for offer in servers.postgres_offers()]


@pytest.fixture(scope="session")
def postgres_server(postgres: PostgresServer) -> PostgresServer:
    """Give the server in which `make_database` works; override it to choose another."""
    return postgres


@pytest.fixture
async def make_database(
    servers: Servers, postgres_server: PostgresServer
) -> AsyncIterator[MakeDatabase]:
    """Give a factory of migrated databases; they are dropped after the test."""
    databases = servers.databases(postgres_server)
    made: list[FreshDatabase] = []
    one_at_a_time = asyncio.Lock()

    async def make(name: str, script_location: Path | None = None) -> FreshDatabase:
        async with one_at_a_time:
            made.append(await databases.create(name, script_location))
            return made[-1]

    yield make
    for database in made:
        await databases.drop(database)


@pytest.fixture(scope="session")
def redis(servers: Servers) -> RedisServer:
    """Give the Redis of this run."""
    return _or_exit(servers.redis)


@pytest.fixture
def redis_url(redis: RedisServer) -> str:
    """Give the URL of an empty Redis."""
    redis.flush()
    return redis.url


@pytest.fixture(scope="session")
def rabbitmq(servers: Servers) -> RabbitMQServer:
    """Give the RabbitMQ of this run."""
    return _or_exit(servers.rabbitmq)


@pytest.fixture
def rabbitmq_url(rabbitmq: RabbitMQServer) -> Iterator[str]:
    """Give the URL of an empty virtual host of this test's own."""
    vhost = f"{TEST_PREFIX}{secrets.token_hex(6)}"
    yield rabbitmq.create_vhost(vhost)
    rabbitmq.delete_vhost(vhost)
