"""Redis away and back: limits hold, callers notice nothing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from chassis.testing import eventually
from chassis.testing.servers import RedisServer
from gateway.tests.world import World
from gateway.tests.world import world as start_world

LOGIN = "/api/v1/auth/login"
GAUGE = "gatehouse_gateway_limits_in_redis"


@pytest.fixture
def mortal_redis(redis: RedisServer, redis_url: str) -> Iterator[RedisServer]:
    """Give a Redis that a test may kill; it lives again afterwards."""
    assert redis_url
    yield redis
    redis.restart()


@pytest.mark.real
class TestFailover:
    """From Redis to memory and back."""

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
        """Killed in the middle: no error, and the limit, divided by the replicas, still holds."""
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
        assert [answer.status for answer in after] == [200] * 3 + [429] * 2
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


def in_redis(world: World) -> float | None:
    """Return the metric that tells where limits are counted."""
    return world.gateway.metrics.registry.get_sample_value(GAUGE)
