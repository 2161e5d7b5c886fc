"""The deny list in Redis: written at once, whole again after everything that may happen to it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis
from structlog.testing import capture_logs

from chassis.testing import FixedClock, eventually
from chassis.testing.fixtures import MakeDatabase
from chassis.testing.servers import PostgresServer, RedisServer
from contracts.denylist import FILLED_KEY, denied_key
from contracts.identity import UserRolesChanged
from services.token.domain.revocations import Revocation
from services.token.shared_denylist import SharedDenyList, SharedDenyListUnavailable
from services.token.tests.kit import MIGRATIONS, World, run_world

pytestmark = pytest.mark.real
UNTIL = timedelta(minutes=16, seconds=30)


@pytest.fixture
def postgres_server(postgres: PostgresServer) -> PostgresServer:
    """Run on one PostgreSQL: Redis is what is looked at."""
    return postgres


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    """Give a client of an empty Redis."""
    async with Redis.from_url(redis_url, decode_responses=True) as connected:
        yield connected


@pytest.fixture
def mortal_redis(redis: RedisServer, redis_url: str) -> Iterator[RedisServer]:
    """Give an empty Redis that a test may kill; it lives again afterwards."""
    assert redis_url
    yield redis
    redis.restart()


@asynccontextmanager
async def sharing_world(
    make_database: MakeDatabase, clock: FixedClock, redis_url: str
) -> AsyncIterator[World]:
    """Run a service that shares its deny list, with one user."""
    database = await make_database("token", MIGRATIONS)
    async with run_world(database, clock, redis_url=SecretStr(redis_url)) as world:
        world.identity.register()
        yield world


async def log_in_and_out(world: World) -> str:
    """End a session and return its key."""
    tokens = await world.client.login()
    answer = await world.client.logout(await world.principal(tokens))
    assert answer.status_code == 200
    return denied_key("sid", tokens["session_id"])


class TestWriting:
    """What the service does with it."""

    async def test_an_ended_session_is_there_as_long_as_its_tokens(
        self, make_database: MakeDatabase, clock: FixedClock, redis_url: str, client: Redis
    ) -> None:
        """Access life, leeway and margin."""
        async with sharing_world(make_database, clock, redis_url) as world:
            key = await log_in_and_out(world)
            await eventually(lambda: client.exists(key))
            life = await client.pttl(key)
            assert await client.get(key) == "1"
            assert UNTIL - timedelta(seconds=30) < timedelta(milliseconds=life) <= UNTIL

    async def test_changed_roles_are_there_by_version(
        self, make_database: MakeDatabase, clock: FixedClock, redis_url: str, client: Redis
    ) -> None:
        """Tokens of older versions are meant."""
        async with sharing_world(make_database, clock, redis_url) as world:
            user_id = world.identity.accounts["ada"].user_id
            for version in (5, 3):
                data = UserRolesChanged(user_id=user_id, roles=("user",), previous_roles=())
                await world.push(world.event(data, version))
            key = denied_key("sub", user_id)
            await eventually(lambda: client.exists(key))
            await eventually(lambda: _is(client, key, "5"))

    async def test_a_flush_is_made_good(
        self, make_database: MakeDatabase, clock: FixedClock, redis_url: str, client: Redis
    ) -> None:
        """The sentinel goes with the rest, and everything comes back from PostgreSQL."""
        async with sharing_world(make_database, clock, redis_url) as world:
            keys = [await log_in_and_out(world) for _ in range(3)]
            await eventually(lambda: _all(client, *keys, FILLED_KEY))
            await client.flushall()
            await eventually(lambda: _all(client, *keys, FILLED_KEY))

    async def test_what_was_revoked_before_the_start_is_filled_in(
        self, make_database: MakeDatabase, clock: FixedClock, redis_url: str, client: Redis
    ) -> None:
        """Somebody may have died between commit and write."""
        database = await make_database("token", MIGRATIONS)
        async with run_world(database, clock) as world:
            world.identity.register()
            key = await log_in_and_out(world)
        assert not await client.exists(key)
        async with run_world(database, clock, redis_url=SecretStr(redis_url)):
            await eventually(lambda: _all(client, key, FILLED_KEY))


class TestAway:
    """Redis dies and comes back."""

    async def test_nobody_waits_and_everything_comes_back(
        self, make_database: MakeDatabase, clock: FixedClock, mortal_redis: RedisServer
    ) -> None:
        """Logouts work on; what they revoked is there once Redis is. One log line per outage."""
        async with sharing_world(make_database, clock, mortal_redis.url) as world:
            registry = world.deployable.metrics.registry
            gauge = "gatehouse_token_denylist_in_redis"
            before = await log_in_and_out(world)
            await eventually(lambda: registry.get_sample_value(gauge) == 1)
            mortal_redis.kill()
            with capture_logs() as logs:
                meanwhile = await log_in_and_out(world)
                await eventually(lambda: registry.get_sample_value(gauge) == 0)
                mortal_redis.restart()
                await eventually(lambda: registry.get_sample_value(gauge) == 1)
            async with Redis.from_url(mortal_redis.url) as client:
                assert await _all(client, before, meanwhile, FILLED_KEY)
            events = [line["event"] for line in logs]
            assert events.count("denylist.not_shared") == 1
            assert events.count("denylist.shared_again") == 1

    async def test_the_service_starts_without_its_redis(
        self, make_database: MakeDatabase, clock: FixedClock
    ) -> None:
        """It is ready, and serves."""
        async with sharing_world(make_database, clock, "redis://127.0.0.1:1/0") as world:
            await log_in_and_out(world)
            assert await world.deployable.health.failing() == []


class TestEntries:
    """The script that writes."""

    @pytest.fixture
    async def shared(self, redis_url: str) -> AsyncIterator[SharedDenyList]:
        """Give the deny list of an empty Redis."""
        shared = SharedDenyList.from_url(redis_url)
        yield shared
        await shared.close()

    async def test_an_entry_only_becomes_stricter(
        self, shared: SharedDenyList, client: Redis, clock: FixedClock
    ) -> None:
        """The highest version and the longest life win, in any order."""
        for version, minutes in ((7, 10), (3, 20), (5, 1)):
            until = clock.now() + timedelta(minutes=minutes)
            entry = Revocation(kind="sub", value="ada", below_version=version, revoked_until=until)
            await shared.write([entry], now=clock.now())
        key = denied_key("sub", "ada")
        assert await client.get(key) == "7"
        assert await client.pttl(key) > timedelta(minutes=19) // timedelta(milliseconds=1)

    async def test_what_has_had_its_time_is_not_written(
        self, shared: SharedDenyList, client: Redis, clock: FixedClock
    ) -> None:
        """Its tokens have run out."""
        await shared.write([_of("old", clock, seconds=0)], now=clock.now())
        assert await client.keys("*") == []

    async def test_says_whether_the_rest_is_still_there(
        self, shared: SharedDenyList, client: Redis, clock: FixedClock
    ) -> None:
        """Also when there are more entries than one call takes."""
        many = [_of(str(number), clock, seconds=9) for number in range(1201)]
        assert not await shared.write([], now=clock.now())
        assert not await shared.write(many, now=clock.now())
        await shared.mark_filled()
        assert await shared.write([], now=clock.now())
        assert await shared.write(many, now=clock.now())
        assert await client.dbsize() == 1202

    async def test_a_server_that_is_away_is_named(self, clock: FixedClock) -> None:
        """By one exception, whatever the driver raises."""
        nobody = SharedDenyList.from_url("redis://127.0.0.1:1/0")
        with pytest.raises(SharedDenyListUnavailable):
            await nobody.write([], now=clock.now())
        with pytest.raises(SharedDenyListUnavailable):
            await nobody.mark_filled()
        await nobody.close()


def _of(session: str, clock: FixedClock, *, seconds: int) -> Revocation:
    until = clock.now() + timedelta(seconds=seconds)
    return Revocation(kind="sid", value=session, revoked_until=until)


async def _all(client: Any, *keys: str) -> bool:
    return bool(await client.exists(*keys) == len(keys))


async def _is(client: Redis, key: str, value: str) -> bool:
    return bool(await client.get(key) == value)
