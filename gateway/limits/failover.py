"""Redis when it is there, memory when it is not: no caller ever sees the difference as an error."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final

from prometheus_client import Counter, Gauge

from chassis.background import Background
from chassis.backoff import Backoff
from chassis.errors import Unauthenticated
from chassis.jwt import AccessToken
from chassis.logs import get_logger
from chassis.metrics import Metrics
from gateway.denylist import DenyList
from gateway.limits.leases import LeasedLimiter
from gateway.limits.limiter import (
    AnswerUnusable,
    Decision,
    Demand,
    LimiterUnavailable,
    decide_or_ask,
)
from gateway.limits.memory import MemoryLimiter
from gateway.limits.redis import RedisLimiter
from gateway.limits.waiter import Waiter

_PAUSES: Final = Backoff(first=timedelta(milliseconds=500), cap=timedelta(seconds=5))
# A Redis that is lost again sooner was not back: it answers a probe, but not what it is for.
_STEADY_SECONDS: Final = 10.0
log = get_logger(__name__)


class FailoverLimiter:
    """Decides by Redis; at its first failure by memory, until a probe finds Redis back.

    `watch` is the supervised task that probes: no request is ever the probe, and none waits for a
    Redis that is known to be away. One that comes and goes is probed after longer and longer
    pauses. What Redis knows to be dead, *denylist* is told: a flush brings nobody back to life.
    """

    def __init__(
        self,
        redis: RedisLimiter,
        leases: LeasedLimiter,
        memory: MemoryLimiter,
        metrics: Metrics,
        *,
        denylist: DenyList,
    ) -> None:
        self._redis = redis
        self._leases = leases
        self._memory = memory
        self._denylist = denylist
        self._available = True
        self._lost = asyncio.Event()
        self._losses = 0
        self._returned_at = 0.0
        self._gauge = Gauge(
            "gatehouse_gateway_limits_in_redis",
            "1 while limits are counted in Redis, 0 while in this process.",
            registry=metrics.registry,
        )
        self._gauge.set(1)
        self._lost_count = Counter(
            "gatehouse_gateway_limits_redis_lost",
            "Times that counting went from Redis to this process.",
            registry=metrics.registry,
        )
        self._unusable = Counter(
            "gatehouse_gateway_limits_unusable_answers",
            "Decisions taken in this process because Redis had no answer to this one.",
            registry=metrics.registry,
        )

    @property
    def available(self) -> bool:
        """Whether Redis decides now."""
        return self._available

    def decide_now(
        self, demands: Sequence[Demand], token: AccessToken | None = None
    ) -> Decision | None:
        """Decide without asking Redis; None when it has to be asked."""
        if not self._available:
            return self._memory.decide_now(demands, token)
        decision = self._leases.decide_now(demands, token)
        if decision is not None:
            self.remember(decision)
        return decision

    async def decide(self, demands: Sequence[Demand], token: AccessToken | None = None) -> Decision:
        """Decide all *demands* of one request. Raises TokenRevoked, TokenStale."""
        return await decide_or_ask(self, demands, token)

    def ask(
        self, demands: Sequence[Demand], token: AccessToken | None, waiter: Waiter[Decision]
    ) -> None:
        """Decide where `decide_now` could not; *waiter* fails as `decide` raises."""
        if self._available:
            self._leases.ask(demands, token, _Asking(self, demands, token, waiter))
        else:
            waiter.tell(self._memory.decide_now(demands, token))

    def remember(self, decision: Decision) -> None:
        """Keep what Redis has decided for the time when it is away."""
        self._memory.remember(decision)

    def decide_without(
        self, demands: Sequence[Demand], token: AccessToken | None, error: LimiterUnavailable
    ) -> Decision:
        """Decide by memory what Redis could not, because of *error*."""
        if isinstance(error, AnswerUnusable):
            self._unusable.inc()
        else:
            self._lose(str(error))
        return self._memory.decide_now(demands, token)

    def learn(self, token: AccessToken, refusal: Unauthenticated) -> None:
        """Keep that Redis knows *token* to be dead."""
        self._denylist.learn(token, refusal)

    async def watch(self, background: Background) -> None:
        """Bring Redis back into use once it answers again; never returns."""
        while True:
            await self._lost.wait()
            await background.pause(_PAUSES.delay(self._losses))
            with suppress(LimiterUnavailable):
                await self._redis.check()
                self._return()

    def _lose(self, error: str) -> None:
        if not self._available:  # many requests may fail at once; one line says it
            return
        lasted = asyncio.get_running_loop().time() - self._returned_at
        self._losses = 1 if lasted > _STEADY_SECONDS else self._losses + 1
        self._available = False
        self._lost.set()
        self._leases.forget()
        self._gauge.set(0)
        self._lost_count.inc()
        log.warning("redis.lost", error=error)

    def _return(self) -> None:
        self._returned_at = asyncio.get_running_loop().time()
        self._available = True
        self._lost.clear()
        self._gauge.set(1)
        log.info("redis.returned")


class _Asking(Waiter[Decision]):
    """Waits for Redis, so that *waiter* is told by memory when it does not answer."""

    __slots__ = ("_demands", "_limiter", "_token", "_waiter")

    def __init__(
        self,
        limiter: FailoverLimiter,
        demands: Sequence[Demand],
        token: AccessToken | None,
        waiter: Waiter[Decision],
    ) -> None:
        self._limiter = limiter
        self._demands = demands
        self._token = token
        self._waiter = waiter

    @property
    def gone(self) -> bool:
        return self._waiter.gone

    def tell(self, answer: Decision) -> None:
        self._limiter.remember(answer)
        self._waiter.tell(answer)

    def fail(self, error: Exception) -> None:
        if isinstance(error, Unauthenticated) and self._token is not None:
            self._limiter.learn(self._token, error)
        if isinstance(error, LimiterUnavailable) and not self._waiter.gone:
            self._waiter.tell(self._limiter.decide_without(self._demands, self._token, error))
        else:
            self._waiter.fail(error)
