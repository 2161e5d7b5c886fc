"""Limits counted in Redis, exactly and together for every gateway: one script call a request.

The same call reads the deny list that token keeps there (D12 c).
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from chassis.clock import Clock
from chassis.errors import Unauthenticated
from chassis.jwt import AccessToken
from contracts.denylist import denied_key
from gateway.errors import TokenRevoked, TokenStale
from gateway.limits.limiter import Decision, Demand, LimiterUnavailable, verdict

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PREFIX = "gatehouse:limit:"
_CONNECTIONS = 32
_DENIALS: Mapping[int, type[Unauthenticated]] = {1: TokenRevoked, 2: TokenStale}
_SCRIPT = Path(__file__).with_name("gcra.lua")


class RedisLimiter:
    """Decides by one Lua script call, within *timeout* seconds or not at all.

    Time is the Redis server's own, so gateways with different clocks agree; *clock* replaces it in
    tests. Close it with `close`.
    """

    def __init__(self, redis: Redis, *, timeout: float, clock: Clock | None = None) -> None:
        self._redis = redis
        self._timeout = timeout
        self._clock = clock
        self._script = redis.register_script(_SCRIPT.read_text(encoding="utf-8"))

    @classmethod
    def from_url(cls, url: str, *, timeout: float = 0.1, clock: Clock | None = None) -> Self:
        """Connect to *url*, lazily."""
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            timeout=timeout,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
        )
        return cls(Redis(connection_pool=pool), timeout=timeout, clock=clock)

    async def decide(self, demands: Sequence[Demand], token: AccessToken | None = None) -> Decision:
        """Decide all *demands* of one request, and whether *token* lives, in one script call.

        Raises LimiterUnavailable, TokenRevoked, TokenStale.
        """
        keys = [_PREFIX + demand.key for demand in demands] + _denials_of(token)
        arguments: list[str | int] = [self._now(), "" if token is None else token.ver]
        for demand in demands:
            arguments += [demand.rate.period_us, demand.rate.interval_us]
        try:
            async with asyncio.timeout(self._timeout):
                numbers: list[int] = await self._script(keys=keys, args=arguments)
        except (RedisError, TimeoutError, OSError) as error:
            raise LimiterUnavailable(type(error).__name__) from error
        if len(numbers) == 1:
            raise _DENIALS[numbers[0]]
        pairs = zip(numbers[::2], numbers[1::2], strict=True)
        return Decision(tuple(verdict(d, *pair) for d, pair in zip(demands, pairs, strict=True)))

    async def check(self) -> None:
        """Ask whether Redis can write. Raises LimiterUnavailable."""
        try:
            async with asyncio.timeout(self._timeout):
                await self._redis.set(f"{_PREFIX}probe", b"1", px=1000)
        except (RedisError, TimeoutError, OSError) as error:
            raise LimiterUnavailable(type(error).__name__) from error

    async def close(self) -> None:
        """Give the connections back."""
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()

    def _now(self) -> str | int:
        if self._clock is None:
            return ""
        return (self._clock.now() - _EPOCH) // timedelta(microseconds=1)


def _denials_of(token: AccessToken | None) -> list[str]:
    """Return where the deny list would name *token*, as the script expects it."""
    if token is None:
        return []
    return [
        denied_key("jti", token.jti),
        denied_key("sid", token.sid),
        denied_key("sub", token.sub),
    ]
