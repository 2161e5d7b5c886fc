"""Limits: the syntax of rates, and one suite that memory and Redis both pass."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from chassis.rates import Rate
from chassis.testing import FixedClock
from gateway.limits.headers import rate_limit_headers
from gateway.limits.limiter import Demand, Limiter, LimiterUnavailable
from gateway.limits.memory import MemoryLimiter
from gateway.limits.redis import RedisLimiter


class TestRate:
    """Reading `10/minute`."""

    @pytest.mark.parametrize(
        ("text", "limit", "seconds"),
        [("10/minute", 10, 60), ("3/hour", 3, 3600), (" 5 / second ", 5, 1), ("1/day", 1, 86400)],
    )
    def test_reads_the_syntax_of_the_settings(self, text: str, limit: int, seconds: int) -> None:
        """Count and period."""
        assert Rate.parse(text) == Rate(limit, timedelta(seconds=seconds))
        assert Rate.parse(str(Rate.parse(text))) == Rate.parse(text)

    @pytest.mark.parametrize(
        "text", ["", "10", "0/minute", "-1/minute", "1.5/hour", "5/week", "٣/day"]
    )
    def test_refuses_anything_else(self, text: str) -> None:
        """A limit that means nothing must not start a gateway."""
        with pytest.raises(ValueError, match="not a rate"):
            Rate.parse(text)

    def test_is_shared_among_processes_but_never_nothing(self) -> None:
        """10/minute by three is 3, 1/minute by three stays 1."""
        assert Rate.parse("10/minute").divided(3).limit == 3
        assert Rate.parse("1/minute").divided(3).limit == 1


@pytest.fixture
def clock() -> FixedClock:
    """Give a clock that stands still."""
    return FixedClock()


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.real)])
async def limiter(
    request: pytest.FixtureRequest, clock: FixedClock
) -> AsyncIterator[MemoryLimiter | RedisLimiter]:
    """Give each implementation in turn."""
    if request.param == "memory":
        yield MemoryLimiter(clock)
        return
    made = RedisLimiter.from_url(request.getfixturevalue("redis_url"), timeout=5, clock=clock)
    yield made
    await made.close()


class TestConformance:
    """What every limiter does."""

    async def test_allows_as_many_as_the_limit_at_once(self, limiter: Limiter) -> None:
        """The fifth passes, the sixth does not."""
        answers = [await limiter.decide([demand("5/minute")]) for _ in range(6)]
        assert [answer.allowed for answer in answers] == [True] * 5 + [False]
        assert [answer.tightest.remaining for answer in answers] == [4, 3, 2, 1, 0, 0]

    async def test_says_when_to_come_back_and_keeps_its_word(
        self, limiter: Limiter, clock: FixedClock
    ) -> None:
        """After exactly that time one more passes, and only one."""
        for _ in range(5):
            await limiter.decide([demand("5/minute")])
        refused = await limiter.decide([demand("5/minute")])
        clock.advance(timedelta(seconds=refused.retry_after - 1))
        early = await limiter.decide([demand("5/minute")])
        clock.advance(timedelta(seconds=1))
        on_time = await limiter.decide([demand("5/minute")])
        another = await limiter.decide([demand("5/minute")])
        assert refused.retry_after == 12
        assert [early.allowed, on_time.allowed, another.allowed] == [False, True, False]

    async def test_is_whole_again_after_a_period(self, limiter: Limiter, clock: FixedClock) -> None:
        """A minute later five pass again."""
        for _ in range(6):
            await limiter.decide([demand("5/minute")])
        clock.advance(timedelta(minutes=1))
        answers = [await limiter.decide([demand("5/minute")]) for _ in range(6)]
        assert [answer.allowed for answer in answers] == [True] * 5 + [False]

    async def test_counts_each_key_for_itself(self, limiter: Limiter) -> None:
        """One who is over the limit harms nobody else."""
        for _ in range(6):
            await limiter.decide([demand("5/minute", key="a")])
        assert (await limiter.decide([demand("5/minute", key="b")])).allowed

    async def test_charges_all_limits_of_a_request_or_none(self, limiter: Limiter) -> None:
        """What the narrow limit refuses does not use up the wide one."""
        narrow, wide = demand("2/minute", key="narrow"), demand("10/minute", key="wide")
        answers = [await limiter.decide([narrow, wide]) for _ in range(5)]
        alone = await limiter.decide([wide])
        assert [answer.allowed for answer in answers] == [True, True, False, False, False]
        assert alone.tightest.remaining == 7

    async def test_names_the_limit_that_refuses(self, limiter: Limiter) -> None:
        """The headers and the wait are those of the limit that is used up."""
        narrow, wide = demand("1/hour", key="narrow"), demand("10/minute", key="wide")
        await limiter.decide([wide, narrow])
        refused = await limiter.decide([wide, narrow])
        assert refused.tightest.demand.key == "narrow"
        assert refused.retry_after == 3600

    async def test_refuses_without_lengthening_the_wait(self, limiter: Limiter) -> None:
        """Knocking on the door does not keep it shut."""
        for _ in range(20):
            await limiter.decide([demand("5/minute")])
        assert (await limiter.decide([demand("5/minute")])).retry_after == 12

    async def test_counts_rates_that_do_not_divide_the_period(self, limiter: Limiter) -> None:
        """7 per minute are 7, not 6 and not 8."""
        answers = [await limiter.decide([demand("7/minute")]) for _ in range(8)]
        assert [answer.allowed for answer in answers] == [True] * 7 + [False]


class TestMemory:
    """What only memory has."""

    async def test_allows_its_share_of_the_limit(self, clock: FixedClock) -> None:
        """Three processes allow together what the limit says."""
        limiter = MemoryLimiter(clock, share=3)
        answers = [await limiter.decide([demand("9/minute")]) for _ in range(4)]
        assert [answer.allowed for answer in answers] == [True] * 3 + [False]

    async def test_forgets_what_has_refilled_before_anything_else(self, clock: FixedClock) -> None:
        """A flood of addresses fills no memory, and frees nobody who is over the limit."""
        limiter = MemoryLimiter(clock, max_keys=10)
        for number in range(9):
            await limiter.decide([demand("5/second", key=f"short {number}")])
        clock.advance(timedelta(seconds=2))
        await limiter.decide([demand("1/hour", key="long")])
        for number in range(5):
            await limiter.decide([demand("5/hour", key=f"new {number}")])
        assert len(limiter._arrivals) <= 10
        assert not (await limiter.decide([demand("1/hour", key="long")])).allowed

    async def test_holds_no_more_than_twice_what_has_not_refilled(self, clock: FixedClock) -> None:
        """Those who come once are forgotten as others come."""
        limiter = MemoryLimiter(clock)
        for number in range(20_000):
            await limiter.decide([demand("5/second", key=f"once {number}")])
            clock.advance(timedelta(milliseconds=1))
        assert len(limiter._arrivals) <= 1_000

    async def test_takes_over_what_was_counted_elsewhere(self, clock: FixedClock) -> None:
        """Of a limit that is used up by a quarter or more; its own share of it is as used up."""
        other, limiter = MemoryLimiter(clock), MemoryLimiter(clock, share=2)
        for key, number in (("little", 4), ("much", 10)):
            for _ in range(number):
                limiter.remember(await other.decide([demand("20/minute", key=key)]))
        left = {
            key: [(await limiter.decide([demand("20/minute", key=key)])).allowed for _ in range(11)]
            for key in ("little", "much")
        }
        assert {key: answers.count(True) for key, answers in left.items()} == {
            "little": 10,
            "much": 5,
        }


class TestRedis:
    """What only Redis has."""

    @pytest.mark.real
    async def test_holds_no_key_longer_than_it_counts(self, redis_url: str) -> None:
        """Keys expire by themselves."""
        limiter = RedisLimiter.from_url(redis_url, timeout=5)
        await limiter.decide([demand("5/minute", key="mortal")])
        await limiter.close()
        async with Redis.from_url(redis_url) as redis:
            left = await redis.pttl("gatehouse:limit:mortal")
        assert 0 < left <= 12_000

    @pytest.mark.real
    async def test_works_after_its_script_was_forgotten(self, redis_url: str) -> None:
        """A restarted Redis has no scripts; the next call brings it again."""
        limiter = RedisLimiter.from_url(redis_url, timeout=5)
        await limiter.decide([demand("5/minute")])
        async with Redis.from_url(redis_url) as redis:
            await redis.script_flush()
        decision = await limiter.decide([demand("5/minute")])
        await limiter.close()
        assert decision.allowed

    async def test_says_that_it_cannot_decide_when_nobody_listens(self) -> None:
        """The one error it raises."""
        limiter = RedisLimiter.from_url("redis://127.0.0.1:1/0")
        with pytest.raises(LimiterUnavailable):
            await limiter.decide([demand("5/minute")])
        await limiter.close()


class TestHeaders:
    """What clients are told."""

    async def test_name_every_policy_and_the_tightest_limit(self, clock: FixedClock) -> None:
        """In the syntax of structured fields."""
        limiter = MemoryLimiter(clock)
        decision = await limiter.decide(
            [
                Demand("login", "a", Rate.parse("5/minute")),
                Demand("per_ip", "b", Rate.parse("50/minute")),
            ]
        )
        assert rate_limit_headers(decision) == {
            "RateLimit-Policy": '"login";q=5;w=60, "per_ip";q=50;w=60',
            "RateLimit": '"login";r=4;t=12',
        }


def demand(rate: str, *, key: str = "somebody") -> Demand:
    """Return a demand of one key."""
    return Demand("test", key, Rate.parse(rate))
