"""Signing keys when several change them, clocks differ, or somebody dies in the middle."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest

from chassis.testing import FixedClock
from chassis.testing.fixtures import MakeDatabase
from services.token.app import KeyTiming
from services.token.tests.kit import MIGRATIONS, World, run_world
from services.token.tests.test_key_administration import KEYS, ROTATE, act, kids

AHEAD = timedelta(minutes=10, seconds=10)
ROUNDS = 10


@pytest.fixture
async def replicas(make_database: MakeDatabase, clock: FixedClock) -> AsyncIterator[list[World]]:
    """Give three processes on one database."""
    database = await make_database("token", MIGRATIONS)
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(run_world(database, clock)) for _ in range(3)]


class TestReplicas:
    """Several at once."""

    async def test_that_rotate_at_once_rotate_once(
        self, replicas: list[World], clock: FixedClock
    ) -> None:
        """One successor, one hand-over, one event a round."""
        for _ in range(ROUNDS):
            for step in (timedelta(days=30), AHEAD):
                clock.advance(step)
                await asyncio.gather(*(world.rotate() for world in replicas))

        rotated = await replicas[0].events("token.signing_key.rotated.v1")
        told = [event["data"]["kid"] for event in rotated]
        assert Counter(told) == Counter(set(told))
        assert len(told) == ROUNDS
        assert [event["data"]["previous_kid"] for event in rotated[1:]] == told[:-1]

    async def test_that_revoke_and_rotate_at_once_leave_one_key_that_signs(
        self, replicas: list[World], clock: FixedClock
    ) -> None:
        """Whatever the order: the revoked one is gone, and all replicas sign with the same."""
        one, other, third = replicas
        for world in replicas:
            world.identity.register("admin", roles=("user", "admin"))
        for _ in range(ROUNDS):
            active = (await act(one, "GET", KEYS)).json()["keys"][-1]["kid"]
            clock.advance(timedelta(days=30))
            # Before: what a login under way is given is signed by the key it began with.
            boss = await one.principal(await one.client.login("admin"))
            stolen = {"reason": "stolen"}
            answers = await asyncio.gather(
                one.client.send("POST", f"{KEYS}/{active}/revoke", stolen, principal=boss),
                other.client.send("POST", ROTATE, principal=boss),
                third.rotate(),
                other.rotate(),
            )
            for world in replicas:
                await world.rotate()

            assert [answer.status_code for answer in answers[:2] if answer] == [200, 202]
            states = Counter(key.life.state for key in await one.stored_keys())
            assert states["active"] == 1
            assert active not in await kids(third)
            assert len({tuple(await kids(world)) for world in replicas}) == 1
            signs = [
                (await w.verify((await w.client.login("admin"))["access_token"])).kid
                for w in replicas
            ]
            assert len(set(signs)) == 1
            await _settle(one, clock)


class TestClocks:
    """X-30: a replica's own clock is wrong."""

    async def test_the_database_says_when_a_key_may_sign(
        self, make_database: MakeDatabase, clock: FixedClock
    ) -> None:
        """A replica that is a year ahead hands nothing over, and retires nothing too early."""
        database = await make_database("token", MIGRATIONS)
        clock.advance(timedelta(days=365 * 10))
        async with run_world(database, clock, timing=KeyTiming()) as world:
            asked = await act(world, "POST", ROTATE)
            clock.advance(timedelta(days=365))
            await world.rotate()

            assert await kids(world) == [asked.json()["kid"], asked.json()["successor"]]
            assert await world.events("token.signing_key.rotated.v1") == []
            await world.as_owner(
                "UPDATE signing_keys SET published_at = published_at - interval '11 minutes'"
            )
            await world.rotate()
            (rotated,) = await world.events("token.signing_key.rotated.v1")
            assert rotated["data"]["kid"] == asked.json()["successor"]

    @pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(), timedelta(hours=-1)])
    async def test_how_wrong_it_is_can_be_seen(
        self, make_database: MakeDatabase, clock: FixedClock, ahead: timedelta
    ) -> None:
        """Against the clock that all replicas agree about, here one that stands at *clock*."""
        database = await make_database("token", MIGRATIONS)
        own = FixedClock(clock.now() + ahead)
        async with run_world(database, own, timing=KeyTiming(clock=clock)) as world:
            registry = world.deployable.metrics.registry
            seen = registry.get_sample_value("gatehouse_token_clock_ahead_seconds")

        assert seen == ahead.total_seconds()


async def _settle(world: World, clock: FixedClock) -> None:
    """Let what is retired leave, so that the last key is the one that signs."""
    clock.advance(timedelta(hours=1))
    await world.rotate()
    clock.advance(timedelta(hours=1))
    await world.rotate()


async def _signing_kid(world: World) -> str:
    tokens = await world.client.login("admin")
    return (await world.verify(tokens["access_token"])).kid
