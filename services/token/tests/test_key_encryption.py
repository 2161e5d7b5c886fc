"""SIGNING_KEY_ENCRYPTION_KEYS is itself rotated: unattended, by several replicas, without a gap."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from chassis.crypto import b64encode, key_id
from chassis.testing import FixedClock, FreshDatabase, eventually
from chassis.testing.fixtures import MakeDatabase
from services.token.keys import generate_key
from services.token.repository.signing_keys import add_key
from services.token.tests.kit import MIGRATIONS, World, run_world
from services.token.tests.test_key_administration import revoke

OLD, NEW = b"k" * 32, b"n" * 32
AHEAD = timedelta(minutes=10, seconds=10)


def keys(*secrets: bytes) -> dict[str, Any]:
    """Return the setting with these keys, the first of which seals."""
    return {"signing_key_encryption_keys": ",".join(b64encode(secret) for secret in secrets)}


async def sealed_under(world: World) -> list[str | None]:
    """Return which encryption key holds each stored private half, oldest first."""
    return [key.sealed_under for key in await world.stored_keys()]


def measured(world: World, name: str, **labels: str) -> float | None:
    """Return a gauge of the service."""
    registry: CollectorRegistry = world.deployable.metrics.registry
    return registry.get_sample_value(f"gatehouse_token_signing_{name}", labels)


@pytest.fixture
async def database(make_database: MakeDatabase, clock: FixedClock) -> FreshDatabase:
    """Give a database whose keys, one that signs and one that will, lie under the old one."""
    fresh = await make_database("token", MIGRATIONS)
    async with run_world(fresh, clock, **keys(OLD)) as world:
        clock.advance(timedelta(days=30))
        await world.rotate()
        assert await sealed_under(world) == [key_id(OLD)] * 2
    return fresh


class TestReplacing:
    """A new key in front of the list."""

    async def test_moves_every_private_half_by_itself(
        self, database: FreshDatabase, clock: FixedClock
    ) -> None:
        """At the start; then the old one can go, and both keys sign in their turn."""
        async with run_world(database, clock, **keys(NEW, OLD)) as world:
            moved, left = await sealed_under(world), measured(world, "keys_to_reseal")
        async with run_world(database, clock, **keys(NEW)) as world:
            world.identity.register()
            first = (await world.verify((await world.client.login())["access_token"])).kid
            clock.advance(AHEAD)
            await world.rotate()
            second = (await world.verify((await world.client.login())["access_token"])).kid

        assert (moved, left) == ([key_id(NEW)] * 2, 0)
        assert first != second

    async def test_repeated_it_changes_nothing(
        self, database: FreshDatabase, clock: FixedClock
    ) -> None:
        """What lies under the first key stays as it is, byte for byte."""
        async with run_world(database, clock, **keys(NEW, OLD)) as world:
            once = await world.stored_keys()
            await world.rotate()
        async with run_world(database, clock, **keys(NEW, OLD)) as world:
            await world.rotate()

            assert await world.stored_keys() == once

    async def test_until_it_is_in_front_a_new_key_changes_nothing(
        self, database: FreshDatabase, clock: FixedClock
    ) -> None:
        """All replicas know it before the first one uses it."""
        async with run_world(database, clock, **keys(OLD, NEW)) as world:
            await world.rotate()

            assert await sealed_under(world) == [key_id(OLD)] * 2

    async def test_replicas_that_start_at_once_do_it_once(
        self, database: FreshDatabase, clock: FixedClock
    ) -> None:
        """Whoever is second finds nothing to do."""
        worlds = [run_world(database, clock, **keys(NEW, OLD)) for _ in range(3)]
        running = await asyncio.gather(*(world.__aenter__() for world in worlds))
        under = await sealed_under(running[0])
        for world in worlds:
            await world.__aexit__(None, None, None)

        assert under == [key_id(NEW)] * 2

    async def test_replicas_that_differ_do_not_undo_one_another(
        self, database: FreshDatabase, clock: FixedClock
    ) -> None:
        """In the middle of a rolling restart the newer one has its way."""
        async with run_world(database, clock, **keys(OLD, NEW)) as older:
            async with run_world(database, clock, **keys(NEW, OLD)) as newer:
                for _ in range(5):
                    await older.rotate()
                    await newer.rotate()
                under = await sealed_under(newer)
            await older.rotate()
            waiting = measured(older, "keys_to_reseal")

        assert under == [key_id(NEW)] * 2
        assert waiting == 2  # as the older one sees it

    async def test_a_key_an_older_replica_made_meanwhile_is_moved_too(
        self, make_database: MakeDatabase, clock: FixedClock
    ) -> None:
        """No key is left behind under the old one."""
        database = await make_database("token", MIGRATIONS)
        async with (
            run_world(database, clock, **keys(OLD, NEW)) as older,
            run_world(database, clock, **keys(NEW, OLD)) as newer,
        ):
            clock.advance(timedelta(days=30))
            await older.rotate()

            async def moved() -> bool:
                return await sealed_under(newer) == [key_id(NEW)] * 2

            await eventually(moved, within=5)

    async def test_a_retired_key_needs_none(
        self, database: FreshDatabase, clock: FixedClock
    ) -> None:
        """It has no private half any more."""
        async with run_world(database, clock, **keys(NEW, OLD)) as world:
            clock.advance(AHEAD)
            await world.rotate()

            assert await sealed_under(world) == [None, key_id(NEW)]


class TestDroppedTooEarly:
    """The old key is gone before everything was moved."""

    async def test_the_start_is_refused_and_names_the_keys(
        self, database: FreshDatabase, clock: FixedClock, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Exit 78, also when only the one that is to sign next cannot be opened."""
        async with run_world(database, clock, **keys(OLD)) as world:
            named = [key.life.kid for key in await world.stored_keys()]

        with pytest.raises(SystemExit) as caught:
            async with run_world(database, clock, **keys(NEW)):
                pass

        told = capsys.readouterr().err
        assert caught.value.code == 78
        assert all(f"opens the stored signing key {kid}" in told for kid in named)

    async def test_no_key_comes_to_sign_that_cannot_be_opened(
        self, make_database: MakeDatabase, clock: FixedClock
    ) -> None:
        """The present one signs on, a metric tells; revoking the other makes room."""
        database = await make_database("token", MIGRATIONS)
        async with run_world(database, clock, **keys(OLD)) as world:
            world.identity.register()
            (active,) = await world.stored_keys()
            foreign = generate_key("ES256")
            async with world.database.transaction() as tx:
                sealed = foreign.sealed([NEW])
                await add_key(tx, foreign, sealed=sealed, state="published", now=clock.now())
            clock.advance(timedelta(days=31))
            await world.rotate()
            late = await world.verify((await world.client.login())["access_token"])
            told = measured(world, "keys_unopened")
            await revoke(world, foreign.kid)
            await world.rotate()

            assert (late.kid, told) == (active.life.kid, 1)
            assert len(await world.stored_keys()) == 2
            assert measured(world, "keys_unopened") == 0


class TestMetrics:
    """What tells how the keys are doing."""

    async def test_age_next_rotation_and_states(
        self, make_database: MakeDatabase, clock: FixedClock
    ) -> None:
        """In seconds, and as Unix time."""
        database, begun = await make_database("token", MIGRATIONS), clock.now()
        async with run_world(database, clock) as world:
            clock.advance(timedelta(days=30) - AHEAD)
            await world.rotate()

            assert measured(world, "keys", state="active") == 1
            assert measured(world, "keys", state="published") == 1
            assert measured(world, "key_age_seconds") == 30 * 86400 - AHEAD.total_seconds()
            due = begun + timedelta(days=30)
            assert measured(world, "key_next_rotation_timestamp_seconds") == due.timestamp()
            assert measured(world, "keys_read_timestamp_seconds") == clock.now().timestamp()
