"""Redis away and back: limits hold, callers notice nothing."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic_ns
from typing import Any

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis
from structlog.testing import capture_logs

from chassis.background import Background
from chassis.clock import SystemClock
from chassis.metrics import Metrics
from chassis.rates import Rate
from chassis.testing import eventually
from chassis.testing.servers import RedisServer
from gateway.denylist import DenyList
from gateway.limits.failover import FailoverLimiter
from gateway.limits.leases import LeasedLimiter
from gateway.limits.limiter import Decision, Demand, LimiterUnavailable
from gateway.limits.memory import MemoryLimiter
from gateway.limits.redis import TIMEOUT, RedisLimiter
from gateway.tests.relay import relaying
from gateway.tests.world import World
from gateway.tests.world import world as start_world

LOGIN = "/api/v1/auth/login"
UNHURRIED = 1.0
GAUGE = "gatehouse_gateway_limits_in_redis"


@pytest.fixture
def mortal_redis(redis: RedisServer, redis_url: str) -> Iterator[RedisServer]:
    """Give a Redis that a test may kill; it lives again afterwards."""
    assert redis_url
    yield redis
    redis.thaw()
    redis.restart()


@pytest.mark.real
class TestFailover:
    """From Redis to memory and back."""

    @pytest.mark.usefixtures("unhurried")
    async def test_counts_in_redis_for_all_gateways(self, tmp_path: Path, redis_url: str) -> None:
        """Two gateways share one allowance."""
        settings: dict[str, Any] = {
            "redis_url": SecretStr(redis_url),
            "rate_limit_login": "4/minute",
        }
        async with (
            start_world(tmp_path, **settings) as one,
            start_world(tmp_path, **settings) as two,
        ):
            answers = [await (one, two)[n % 2].ask("POST", LOGIN) for n in range(6)]
        assert [answer.status for answer in answers] == [200] * 4 + [429] * 2

    async def test_no_caller_sees_redis_go(self, tmp_path: Path, mortal_redis: RedisServer) -> None:
        """Killed in the middle: no error, and the limit, divided by the replicas, goes on."""
        settings: dict[str, Any] = {
            "redis_url": SecretStr(mortal_redis.url),
            "rate_limit_login": "6/minute",
            "gateway_replicas": 2,
        }
        async with start_world(tmp_path, **settings) as world:
            before = [await world.ask("POST", LOGIN) for _ in range(2)]
            mortal_redis.kill()
            with capture_logs() as logs:
                after = [await world.ask("POST", LOGIN) for _ in range(5)]
        assert [answer.status for answer in before] == [200, 200]
        assert [answer.status for answer in after] == [200] * 2 + [429] * 3  # a third was used
        assert [line["event"] for line in logs].count("redis.lost") == 1

    async def test_redis_is_used_again_when_it_is_back(
        self, tmp_path: Path, mortal_redis: RedisServer
    ) -> None:
        """A probe finds it, no request has to."""
        settings: dict[str, Any] = {
            "redis_url": SecretStr(mortal_redis.url),
            "rate_limit_login": "3/minute",
        }
        async with start_world(tmp_path, **settings) as world:
            mortal_redis.kill()
            await world.ask("POST", LOGIN)
            lost = in_redis(world)
            mortal_redis.restart()
            await eventually(lambda: in_redis(world) == 1)
            answers = [await world.ask("POST", LOGIN) for _ in range(4)]
        assert lost == 0
        assert [answer.status for answer in answers] == [200] * 3 + [429]

    async def test_a_gateway_starts_without_its_redis(self, tmp_path: Path) -> None:
        """It counts in memory until Redis comes."""
        settings: dict[str, Any] = {
            "redis_url": SecretStr("redis://127.0.0.1:1/0"),
            "rate_limit_login": "1/minute",
        }
        async with start_world(tmp_path, **settings) as world:
            answers = [await world.ask("POST", LOGIN) for _ in range(2)]
        assert [answer.status for answer in answers] == [200, 429]


class Failing:
    """A limiter with something to fail over to, in front of a Redis that a test takes away."""

    def __init__(self, url: str, *, share: int, patience: float) -> None:
        self.metrics = Metrics()
        self.redis = RedisLimiter.from_url(url, timeout=patience)
        self.leases = LeasedLimiter(self.redis, lambda: monotonic_ns() // 1000, share=share)
        memory = MemoryLimiter(SystemClock(), share=share)
        self.limiter = FailoverLimiter(
            self.redis, self.leases, memory, self.metrics, denylist=DenyList(SystemClock())
        )

    async def ask(
        self, number: int, *, rate: str = "1000/hour", key: str = "somebody"
    ) -> list[Decision]:
        """Ask for *number* decisions at once."""
        demand = Demand("test", key, Rate.parse(rate))
        return await asyncio.gather(*(self.limiter.decide([demand]) for _ in range(number)))

    async def ready(self) -> None:
        """Wait until Redis decides, whatever the first attempt brought."""
        await eventually(self._answers)

    def count(self, name: str) -> float | None:
        """Return a metric."""
        return self.metrics.registry.get_sample_value(f"gatehouse_gateway_limits_{name}")

    async def _answers(self) -> bool:
        with suppress(LimiterUnavailable):
            await self.redis.check()
            return True
        return False


@asynccontextmanager
async def failing(
    url: str, *, share: int = 1, patience: float = UNHURRIED
) -> AsyncIterator[Failing]:
    """Start a limiter and what watches it."""
    made = Failing(url, share=share, patience=patience)
    await made.ready()
    async with Background() as background:
        background.start("redis", lambda: made.limiter.watch(background))
        yield made
    await made.redis.close()


@pytest.mark.real
class TestInFlight:
    """Those who wait for Redis when it goes."""

    @pytest.mark.parametrize("how", ["frozen", "killed", "vanished"])
    async def test_are_all_decided_by_memory(self, mortal_redis: RedisServer, how: str) -> None:
        """All of them, by the limit divided by the gateways; one line, one count."""
        async with (
            relaying(mortal_redis.url) as relay,
            failing(relay.url, share=4, patience=TIMEOUT) as failing_,
        ):
            ways = {
                "frozen": mortal_redis.freeze,
                "killed": mortal_redis.kill,
                "vanished": relay.vanish,
            }
            with capture_logs() as logs:
                ways[how]()
                answers = await failing_.ask(40, rate="100/hour")
                lost = failing_.count("in_redis")
                # What comes later waits for nobody, and is not lost anew.
                later = failing_.limiter.decide_now([Demand("later", "k", Rate.parse("9/hour"))])
            mortal_redis.thaw()
        assert sum(answer.allowed for answer in answers) == 25
        assert later is not None
        assert (lost, failing_.count("redis_lost_total")) == (0, 1)
        assert [line["event"] for line in logs].count("redis.lost") == 1

    async def test_have_no_new_allowance(self, mortal_redis: RedisServer) -> None:
        """Whoever was refused by Redis is refused by memory, which allows others their share."""
        async with failing(mortal_redis.url, share=2) as failing_:
            used = await failing_.ask(12, rate="10/hour")
            mortal_redis.kill()
            after = await failing_.ask(3, rate="10/hour")
            other = await failing_.ask(7, rate="10/hour", key="somebody else")
        assert [answer.allowed for answer in used].count(True) == 10
        assert [answer.allowed for answer in after] == [False] * 3
        assert [answer.allowed for answer in other].count(True) == 5

    async def test_are_not_asked_twice_by_the_next_ones(self, mortal_redis: RedisServer) -> None:
        """While it is known to be away nothing is sent but probes, one after the other."""
        async with relaying(mortal_redis.url) as relay, failing(relay.url) as failing_:
            relay.vanishing = True
            await failing_.ask(3)
            connections = relay.connections
            await eventually(lambda: relay.connections >= connections + 2)
            await failing_.ask(100)
            sent = b"".join(relay.chunks[-2:])
        assert b"EVALSHA" not in sent
        assert sent.count(b"probe") == 2

    async def test_come_back_by_one_probe(self, mortal_redis: RedisServer) -> None:
        """One connection for all, one line, one count; leases and refusals begin anew."""
        async with relaying(mortal_redis.url) as relay, failing(relay.url) as failing_:
            await failing_.ask(20, rate="1000/minute")
            with capture_logs() as logs:
                relay.vanishing = True
                relay.cut()
                await failing_.ask(5)
                known = len(failing_.leases)
                relay.vanishing = False
                await eventually(lambda: failing_.count("in_redis") == 1)
                connections = relay.connections
                answers = await failing_.ask(100)
            assert relay.connections == connections
        events = [line["event"] for line in logs]
        assert (events.count("redis.lost"), events.count("redis.returned")) == (1, 1)
        assert all(answer.allowed for answer in answers)
        assert known == 0

    async def test_one_answer_of_no_use_is_no_loss(self, mortal_redis: RedisServer) -> None:
        """A key that holds something else: memory decides about this one."""
        async with failing(mortal_redis.url) as failing_:
            async with Redis.from_url(mortal_redis.url) as redis:
                await redis.lpush("gatehouse:limit:somebody", "no number")
            answers = await failing_.ask(3, rate="2/hour")
        assert [answer.allowed for answer in answers] == [True, True, False]
        assert failing_.count("in_redis") == 1
        assert failing_.count("unusable_answers_total") == 3

    async def test_a_redis_that_may_not_write_is_lost(self, mortal_redis: RedisServer) -> None:
        """A replica, or one that is full: no decision can be had from it."""
        async with failing(mortal_redis.url) as failing_:
            async with Redis.from_url(mortal_redis.url) as redis:
                await redis.replicaof("127.0.0.1", "1")
                answers = await failing_.ask(3, rate="2/hour")
                lost = failing_.count("in_redis")
                await redis.replicaof("NO", "ONE")
            await eventually(lambda: failing_.count("in_redis") == 1)
        assert [answer.allowed for answer in answers] == [True, True, False]
        assert lost == 0


def in_redis(world: World) -> float | None:
    """Return the metric that tells where limits are counted."""
    return world.gateway.metrics.registry.get_sample_value(GAUGE)
