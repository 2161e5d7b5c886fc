"""How often one session may be refreshed."""

from dataclasses import replace
from datetime import timedelta

import pytest

from chassis.testing import FixedClock
from chassis.testing.fixtures import MakeDatabase
from services.token.domain.refresh import Allowance
from services.token.tests.kit import MIGRATIONS, Client, World, run_world

TEN = Allowance(10, timedelta(minutes=1))


async def refresh(world: World, refresh_token: str, times: int) -> str:
    """Refresh so many times; return the last token."""
    for _ in range(times):
        answer = await world.client.refresh(refresh_token)
        assert answer.status_code == 200, answer.text
        refresh_token = answer.json()["refresh_token"]
    return refresh_token


class TestLimit:
    """RATE_LIMIT_PER_USER, ten a minute by default."""

    async def test_beyond_it_nothing_is_spent_and_nothing_written(
        self, world: World, clock: FixedClock
    ) -> None:
        """429 with the time to wait; then the same token is good."""
        world.identity.register()
        tokens = await world.client.login()
        last = await refresh(world, tokens["refresh_token"], 10)
        rows = [await world.count(table) for table in ("refresh_tokens", "outbox")]

        refused = [await world.client.refresh(last) for _ in range(20)]

        assert {(a.status_code, a.json()["code"]) for a in refused} == {(429, "rate_limited")}
        assert refused[0].headers["retry-after"] == "6"
        assert refused[0].headers["ratelimit-policy"] == '"per_session";q=10;w=60'
        assert [await world.count(table) for table in ("refresh_tokens", "outbox")] == rows
        clock.advance(timedelta(seconds=6))
        last = await refresh(world, last, 1)
        assert (await world.client.refresh(last)).status_code == 429

    async def test_each_session_has_its_own(
        self, make_database: MakeDatabase, clock: FixedClock
    ) -> None:
        """Another one of the same user is not slowed down."""
        database = await make_database("token", MIGRATIONS)
        async with run_world(
            database, clock, max_sessions_per_user=0, rate_limit_per_user="1/hour"
        ) as world:
            world.identity.register()
            one, other = [(await world.client.login())["refresh_token"] for _ in range(2)]

            spent = await refresh(world, one, 1)

            assert (await world.client.refresh(spent)).status_code == 429
            await refresh(world, other, 1)

    async def test_a_lost_answer_is_repeated_all_the_same(self, world: World) -> None:
        """It makes no row."""
        world.identity.register()
        ninth = await refresh(world, (await world.client.login())["refresh_token"], 9)
        tenth = await refresh(world, ninth, 1)

        assert [await refresh(world, ninth, 1) for _ in range(15)] == [tenth] * 15

    async def test_a_theft_is_found_all_the_same(self, world: World) -> None:
        """The thief of a spent token is not told to come back later."""
        world.identity.register()
        first = (await world.client.login())["refresh_token"]
        last = await refresh(world, first, 10)

        answer = await Client(world, user_agent="thief/1.0").refresh(first)

        assert answer.status_code == 401
        assert len(await world.events("token.refresh_token.reused.v1")) == 1
        assert (await world.client.refresh(last)).status_code == 401


class TestAllowance:
    """GCRA, as the gateway's limits."""

    @pytest.mark.parametrize(("waited", "free"), [(0, 0), (5, 0), (6, 1), (30, 5), (600, 10)])
    def test_comes_back_bit_by_bit_and_is_never_more_than_whole(
        self, clock: FixedClock, waited: int, free: int
    ) -> None:
        """Six seconds each."""
        allowance = _used(TEN, clock, 10)
        clock.advance(timedelta(seconds=waited))

        allowance = _used(allowance, clock, free)

        assert allowance.wait(clock.now()) > timedelta()

    def test_says_how_long_to_wait(self, clock: FixedClock) -> None:
        """Until one is free."""
        allowance = _used(TEN, clock, 10)
        clock.advance(timedelta(seconds=2))

        assert allowance.wait(clock.now()) == timedelta(seconds=4)


def _used(allowance: Allowance, clock: FixedClock, times: int) -> Allowance:
    """Use it so many times, each of which has to be allowed."""
    for _ in range(times):
        now = clock.now()
        assert allowance.wait(now) == timedelta()
        assert (allowance.paid_until or now) <= allowance.latest(now)
        paid_until = max(allowance.paid_until or now, now) + allowance.interval
        allowance = replace(allowance, paid_until=paid_until)
    return allowance
