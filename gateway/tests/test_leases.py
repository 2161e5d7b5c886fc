"""High limits, decided from leases: what is allowed in all, and how seldom Redis is asked."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from redis.asyncio import Redis

from chassis.jwt import AccessToken
from chassis.rates import Rate
from chassis.testing import FixedClock, eventually
from contracts.denylist import denied_key
from gateway.errors import TokenRevoked
from gateway.limits.allowance import Allowance, Terms
from gateway.limits.leases import LeasedLimiter
from gateway.limits.limiter import Decision, Demand, LimiterUnavailable
from gateway.limits.memory import MemoryLimiter
from gateway.limits.redis import RedisLimiter
from gateway.limits.script import Grant
from gateway.tests.relay import relaying

LIMIT = 600
MOST = 20
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Asked:
    """Tells the time once for each call of the script, and counts that."""

    def __init__(self, clock: FixedClock) -> None:
        self._clock = clock
        self.calls = 0

    def now(self) -> datetime:
        """Count and tell."""
        self.calls += 1
        return self._clock.now()


class Gateways:
    """Some limiters on one Redis, at one time."""

    def __init__(self, clock: FixedClock, url: str, number: int) -> None:
        self.clock = clock
        self.asked = [Asked(clock) for _ in range(number)]
        self.stores = [RedisLimiter.from_url(url, timeout=20, clock=one) for one in self.asked]
        self.limiters = [LeasedLimiter(s, self._now, share=number) for s in self.stores]

    @property
    def calls(self) -> int:
        """Return how often Redis has been asked."""
        return sum(one.calls for one in self.asked)

    async def ask(self, number: int = 1, *, of: int = 0, key: str = "somebody") -> int:
        """Ask one gateway *number* times, one after the other; return how many were allowed."""
        answers = [await self.limiters[of].decide([demand(key=key)]) for _ in range(number)]
        return sum(answer.allowed for answer in answers)

    async def in_turn(self, number: int, *, every: timedelta = timedelta(0)) -> int:
        """Ask all gateways in turn, *number* times in all; return how many were allowed."""
        allowed = 0
        for one in range(number):
            allowed += await self.ask(of=one % len(self.limiters))
            self.clock.advance(every)
        return allowed

    def _now(self) -> int:
        return (self.clock.now() - EPOCH) // timedelta(microseconds=1)


@pytest.fixture
def clock() -> FixedClock:
    """Give a clock that stands still."""
    return FixedClock()


Start = Callable[[int], Gateways]


@pytest.fixture
async def start(clock: FixedClock, redis_url: str) -> AsyncIterator[Start]:
    """Give what starts so many gateways on an empty Redis."""
    async with starting(clock, redis_url) as made:
        yield made


@asynccontextmanager
async def starting(clock: FixedClock, url: str) -> AsyncIterator[Start]:
    """Start gateways, and stop them in the end."""
    started: list[Gateways] = []

    def make(number: int) -> Gateways:
        started.append(Gateways(clock, url, number))
        return started[-1]

    yield make
    for gateways in started:
        for store in gateways.stores:
            await store.close()


class TestTerms:
    """Which limits are leased, and how."""

    @pytest.mark.parametrize("rate", ["100/minute", "600/minute", "6000/hour", "60/second"])
    def test_of_high_limits(self, rate: str) -> None:
        """A lease is at most a thirtieth of the limit, and refills while it lives."""
        terms = Terms.of(Rate.parse(rate), 1)
        assert terms is not None
        assert 2 <= terms.most <= Rate.parse(rate).limit / 30
        assert terms.most * terms.interval_us <= terms.life_us <= 2_000_000

    @pytest.mark.parametrize(
        "rate",
        ["10/minute", "50/minute", "99/minute", "5/minute", "3/hour", "5900/hour", "2/second"],
    )
    def test_not_of_low_ones(self, rate: str) -> None:
        """What protects passwords is counted exactly."""
        assert Terms.of(Rate.parse(rate), 1) is None


class TestAllowance:
    """What one process knows of a key."""

    def test_never_wants_less_than_one(self) -> None:
        """Whatever has been put back meanwhile: less would be a gift."""
        terms = Terms.of(Rate.parse("600/minute"), 1)
        assert terms is not None
        allowance = Allowance(terms)
        allowance.begin_renewal(demand(), 0)
        allowance.renew(Grant(400_000, 0, 4), asked=0, now_us=0)
        for _ in range(3):
            allowance.put_back()
        claim = allowance.begin_renewal(demand(), terms.life_us + 1)
        assert claim is not None
        assert claim.wanted == 1


@pytest.mark.real
class TestAccuracy:
    """Allowed, against what is configured."""

    async def test_one_gateway_allows_exactly_the_limit(self, start: Start) -> None:
        """Whoever uses it up gets all of it, and Redis is asked for a part of them."""
        gateways = start(1)
        assert await gateways.ask(LIMIT + 100) == LIMIT
        assert gateways.calls < LIMIT / 4

    async def test_three_gateways_allow_it_together(self, start: Start) -> None:
        """Used up evenly, nothing is left in any lease."""
        gateways = start(3)
        assert await gateways.in_turn(LIMIT + 100) == LIMIT

    async def test_nobody_gets_more_in_any_period_than_a_lease_above(
        self, start: Start, clock: FixedClock
    ) -> None:
        """Three gateways, asked for all they give for three periods: never more than refills."""
        gateways = start(3)
        at_once = await gateways.in_turn(LIMIT)
        later = await gateways.in_turn(6000, every=timedelta(milliseconds=30))
        assert at_once == LIMIT
        assert clock.now() >= FixedClock().now() + timedelta(minutes=3)
        assert 3 * LIMIT - 3 * MOST <= later <= 3 * LIMIT + MOST

    async def test_late_use_of_a_lease_adds_at_most_the_lease(
        self, start: Start, clock: FixedClock
    ) -> None:
        """What was leased before a period and is used in it, when all has refilled."""
        gateways = start(3)
        await gateways.ask(8)  # the last lease was of 8, one is used
        clock.advance(timedelta(seconds=1, milliseconds=900))
        assert await gateways.in_turn(LIMIT + 100) == LIMIT + 7

    @pytest.mark.parametrize("number", [1, 3])
    @pytest.mark.parametrize("seed", range(4))
    async def test_whatever_is_asked_stays_within_the_bounds(
        self, start: Start, clock: FixedClock, number: int, seed: int
    ) -> None:
        """Bursts, pauses and a favourite gateway, against one that counts each request exactly."""
        gateways, exact = start(number), MemoryLimiter(clock)
        backlog_us, most_us, allowed, exactly = 0, 0, 0, 0
        for one in range(800):
            burst, pause, of = hashlib.sha256(f"{seed} {one}".encode()).digest()[:3]
            asked, step = 1 + burst % (3 + 9 * seed), timedelta(milliseconds=pause * pause / 90)
            exactly += sum([(await exact.decide([demand()])).allowed for _ in range(asked)])
            passed = await gateways.ask(asked, of=min(of % 4, number - 1))
            allowed += passed
            backlog_us += passed * 100_000
            most_us = max(most_us, backlog_us)
            backlog_us = max(0, backlog_us - step // timedelta(microseconds=1))
            clock.advance(step)
        assert most_us <= (LIMIT + MOST) * 100_000
        assert allowed >= exactly - number * MOST

    async def test_what_is_not_used_in_time_is_given_back(
        self, start: Start, clock: FixedClock
    ) -> None:
        """Near the limit, where it matters: the leases of a slow gateway bind nothing for good."""
        gateways = start(2)
        await gateways.ask(400)
        await gateways.ask(16, of=1)  # the last lease was of 16, one is used
        clock.advance(timedelta(seconds=2))
        await gateways.ask(of=1)
        used = 400 + 16 + 1
        assert await gateways.ask(LIMIT) >= LIMIT - used + MOST - 5

    async def test_nothing_is_given_back_twice(self, start: Start, clock: FixedClock) -> None:
        """What has refilled meanwhile is not charged any more."""
        gateways = start(2)
        for _ in range(40):
            await gateways.ask(16)
            await gateways.ask(9, of=1)
            clock.advance(timedelta(seconds=4))
        assert await gateways.ask(LIMIT + 100) <= LIMIT + MOST


@pytest.mark.real
class TestAsking:
    """How often Redis is asked."""

    async def test_grows_with_use(self, start: Start, clock: FixedClock) -> None:
        """At ten a second, the whole of the limit, one call in twenty."""
        gateways = start(1)
        allowed = await gateways.in_turn(600, every=timedelta(milliseconds=100))
        assert allowed == 600
        assert gateways.calls <= 600 / MOST + 6
        assert clock.now() == FixedClock().now() + timedelta(minutes=1)

    async def test_binds_nothing_of_who_asks_seldom(
        self, start: Start, clock: FixedClock, redis_url: str
    ) -> None:
        """One request is charged as one."""
        gateways = start(1)
        for number in range(5):
            await gateways.ask(key=f"seldom {number}")
        async with Redis.from_url(redis_url) as redis:
            left = [await redis.get(f"gatehouse:limit:seldom {number}") for number in range(5)]
        charged = {int(value or 0) - gateways._now() for value in left}
        assert charged == {100_000}
        assert clock.now() == FixedClock().now()

    async def test_who_is_refused_is_not_asked_for_again(
        self, start: Start, clock: FixedClock
    ) -> None:
        """Until the wait is over, however often he knocks; then he is let in."""
        gateways = start(1)
        await gateways.ask(LIMIT)
        refused = [await gateways.limiters[0].decide([demand()]) for _ in range(50)]
        calls = gateways.calls
        assert await gateways.ask(1000) == 0
        assert gateways.calls == calls
        assert {answer.retry_after for answer in refused} == {1}
        assert refused[0].tightest.wait_us == 100_000
        clock.advance(timedelta(milliseconds=100))
        assert await gateways.ask(5) == 1

    async def test_one_renews_for_all_who_ask_at_once(self, start: Start) -> None:
        """The others are counted one by one: no heap of leases."""
        gateways = start(1)
        await gateways.ask(63)  # used up: the next is renewed
        answers = await asyncio.gather(*(gateways.ask() for _ in range(30)))
        assert sum(answers) == 30
        assert 63 + 30 + await gateways.ask(LIMIT) == LIMIT

    async def test_who_goes_away_does_not_take_the_lease_along(
        self, clock: FixedClock, redis_url: str
    ) -> None:
        """It arrives for the next one."""
        async with relaying(redis_url) as relay, starting(clock, relay.url) as start:
            gateways = start(1)
            await gateways.ask(15)
            seen = len(relay.chunks)
            gone = asyncio.ensure_future(gateways.ask())
            await eventually(lambda: len(relay.chunks) > seen)
            gone.cancel()
            with suppress(asyncio.CancelledError):
                await gone
            await eventually(lambda: not gateways.limiters[0]._held["somebody"]._renewing)
            calls = gateways.calls
            assert await gateways.ask(15) == 15
            assert gateways.calls == calls

    async def test_knows_so_many_keys_and_no_more(self, start: Start) -> None:
        """Those renewed longest ago are forgotten; what they had is charged, and lost."""
        gateways = start(1)
        limiter = LeasedLimiter(gateways.stores[0], gateways._now, max_keys=10)
        for number in range(50):
            assert (await limiter.decide([demand(key=f"k{number}")])).allowed
            assert len(limiter) <= 10


@pytest.mark.real
class TestTokens:
    """The deny list in Redis, beside leases."""

    async def test_are_looked_up_once_in_a_lease(self, start: Start, redis_url: str) -> None:
        """Each for itself, whoever of the same user has renewed it; a dead one costs nothing."""
        gateways = start(1)
        limiter, (ann, ben) = gateways.limiters[0], (token("a"), token("b"))
        for _ in range(8):
            await limiter.decide([demand()], ann)
        async with Redis.from_url(redis_url) as redis:
            await redis.set(denied_key("jti", ben.jti), 1)
        calls = gateways.calls
        with pytest.raises(TokenRevoked):
            await limiter.decide([demand()], ben)
        answers = [await limiter.decide([demand()], ann) for _ in range(7)]
        assert [answer.tightest.remaining for answer in answers] == list(range(591, 584, -1))
        assert gateways.calls == calls + 1

    async def test_are_looked_up_again_in_the_next_one(self, start: Start, redis_url: str) -> None:
        """A token that dies in a lease does not outlive it."""
        gateways = start(1)
        limiter, ann = gateways.limiters[0], token("a")
        for _ in range(8):
            await limiter.decide([demand()], ann)
        async with Redis.from_url(redis_url) as redis:
            await redis.set(denied_key("sid", ann.sid), 1)
        for _ in range(7):
            await limiter.decide([demand()], ann)
        with pytest.raises(TokenRevoked):
            await limiter.decide([demand()], ann)

    async def test_of_more_sessions_than_are_remembered_are_looked_up_each_time(
        self, start: Start
    ) -> None:
        """What is known of one key has a bound."""
        gateways = start(1)
        limiter, tokens = gateways.limiters[0], [token(str(number)) for number in range(9)]
        for _ in range(8):
            await limiter.decide([demand()])
        calls = gateways.calls
        for one in tokens[:3] + tokens[:3] + tokens[8:]:
            await limiter.decide([demand()], one)
        assert gateways.calls == calls + 4
        assert len(limiter._held["somebody"]._met) <= 4


@pytest.mark.real
class TestSeveral:
    """Limits of one request, leased and exact."""

    async def test_are_charged_all_or_none(self, start: Start) -> None:
        """What the exact one refuses takes nothing of the lease, nor the other way round."""
        limiter = start(1).limiters[0]
        narrow = Demand("narrow", "n", Rate.parse("5/minute"))
        for _ in range(9):
            await limiter.decide([demand(), narrow])
        answers = [await limiter.decide([demand()]) for _ in range(LIMIT)]
        assert sum(answer.allowed for answer in answers) == LIMIT - 5

    async def test_a_lease_used_up_charges_nothing_exact(self, start: Start) -> None:
        """A request refused here is not counted there."""
        limiter = start(1).limiters[0]
        wide = Demand("exact", "e", Rate.parse("90/minute"))
        for _ in range(LIMIT):
            await limiter.decide([demand()])
        refused = [await limiter.decide([wide, demand()]) for _ in range(5)]
        assert not any(answer.allowed for answer in refused)
        assert {answer.tightest.demand.name for answer in refused} == {"test"}
        assert (await limiter.decide([wide])).tightest.remaining == 89

    async def test_two_leases_are_one_decision(self, start: Start) -> None:
        """The smaller one refuses, the larger one keeps what it has."""
        limiter = start(1).limiters[0]
        small = Demand("small", "s", Rate.parse("120/minute"))
        answers = [await limiter.decide([demand(), small]) for _ in range(200)]
        alone = [await limiter.decide([demand()]) for _ in range(LIMIT)]
        assert sum(answer.allowed for answer in answers) == 120
        assert sum(answer.allowed for answer in alone) == LIMIT - 120

    async def test_tell_what_remains(self, start: Start) -> None:
        """As exactly as if each were counted in Redis, while nobody else counts."""
        limiter = start(1).limiters[0]
        answers = [await limiter.decide([demand()]) for _ in range(100)]
        remaining = [answer.tightest.remaining for answer in answers]
        assert remaining == list(range(LIMIT - 1, LIMIT - 101, -1))
        assert answers[-1].tightest.reset_us == 100 * 100_000

    async def test_are_decided_at_once_when_all_is_leased(self, start: Start) -> None:
        """`decide_now` knows while there is a lease, and does not know when it is used up."""
        limiter = start(1).limiters[0]
        unknown = limiter.decide_now([demand()])
        for _ in range(2):
            await limiter.decide([demand()])
        known = limiter.decide_now([demand()])
        used_up = limiter.decide_now([demand()])
        assert (unknown, used_up) == (None, None)
        assert isinstance(known, Decision)
        assert known.tightest.remaining == LIMIT - 3

    async def test_nothing_is_leased_where_leases_are_off(self, start: Start) -> None:
        """`LIMIT_LEASES=false`."""
        gateways = start(1)
        limiter = LeasedLimiter(gateways.stores[0], gateways._now, lease=False)
        for _ in range(50):
            await limiter.decide([demand()])
        assert (gateways.calls, len(limiter)) == (50, 0)


async def test_a_renewal_that_fails_can_be_tried_again() -> None:
    """The next who asks renews; nothing is left behind by the one that failed."""
    store = RedisLimiter.from_url("redis://127.0.0.1:1/0")
    limiter = LeasedLimiter(store, lambda: 0)
    for _ in range(3):
        with pytest.raises(LimiterUnavailable):
            await limiter.decide([demand()])
    allowance = limiter._held["somebody"]
    assert allowance.begin_renewal(demand(), 0) is not None
    await store.close()


async def test_a_renewal_that_cannot_be_asked_can_be_tried_again() -> None:
    """A key that no wire carries."""
    store = RedisLimiter.from_url("redis://127.0.0.1:1/0")
    limiter = LeasedLimiter(store, lambda: 0)
    with pytest.raises(UnicodeEncodeError):
        await limiter.decide([demand(key="\udc80")])
    assert limiter._held["\udc80"].begin_renewal(demand(), 0) is not None
    await store.close()


def token(jti: str) -> AccessToken:
    """Return a token of a session of its own."""
    now = FixedClock().now()
    return AccessToken(
        sub=str(UUID(int=1)),
        sid=str(uuid4()),
        jti=jti,
        iat=now,
        exp=now + timedelta(minutes=15),
        auth_time=now,
        amr=("pwd",),
        roles=frozenset(),
        scope="",
        ver=1,
        kid="k",
    )


def demand(*, key: str = "somebody") -> Demand:
    """Return a demand of one key: 600 a minute."""
    return Demand("test", key, Rate.parse(f"{LIMIT}/minute"))
