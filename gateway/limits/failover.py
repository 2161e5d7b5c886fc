"""Redis when it is there, memory when it is not: no caller ever sees the difference as an error."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

from prometheus_client import Gauge

from chassis.background import Background
from chassis.jwt import AccessToken
from chassis.logs import get_logger
from chassis.metrics import Metrics
from gateway.limits.limiter import Decision, Demand, LimiterUnavailable
from gateway.limits.memory import MemoryLimiter
from gateway.limits.redis import RedisLimiter

_PROBE_EVERY = timedelta(milliseconds=500)
log = get_logger(__name__)


class FailoverLimiter:
    """Decides by Redis; at its first failure by memory, until a probe finds Redis back.

    `watch` is the supervised task that probes: no request is ever the probe, and none waits for a
    Redis that is known to be away.
    """

    def __init__(self, redis: RedisLimiter, memory: MemoryLimiter, metrics: Metrics) -> None:
        self._redis = redis
        self._memory = memory
        self._lost = asyncio.Event()
        self._gauge = Gauge(
            "gatehouse_gateway_limits_in_redis",
            "1 while limits are counted in Redis, 0 while in this process.",
            registry=metrics.registry,
        )
        self._gauge.set(1)

    @property
    def available(self) -> bool:
        """Whether Redis decides now."""
        return not self._lost.is_set()

    async def decide(self, demands: Sequence[Demand], token: AccessToken | None = None) -> Decision:
        """Decide all *demands* of one request. Raises TokenRevoked, TokenStale."""
        if self.available:
            try:
                return await self._redis.decide(demands, token)
            except LimiterUnavailable as error:
                self._lose(str(error))
        return await self._memory.decide(demands)

    async def watch(self, background: Background) -> None:
        """Bring Redis back into use once it answers again; never returns."""
        while True:
            await self._lost.wait()
            await background.pause(_PROBE_EVERY)
            with suppress(LimiterUnavailable):
                await self._redis.check()
                self._lost.clear()
                self._gauge.set(1)
                log.info("redis.returned")

    def _lose(self, error: str) -> None:
        if self.available:  # many requests may fail at once; one line says it
            self._lost.set()
            self._gauge.set(0)
            log.warning("redis.lost", error=error)
