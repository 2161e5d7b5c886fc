"""Limits counted in Redis, exactly and together for every gateway: one script call a request.

The same call reads the deny list that token keeps there (D12 c).
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

from hiredis import ReplyError

from chassis.clock import Clock
from chassis.jwt import AccessToken
from gateway.limits.endpoint import Endpoint
from gateway.limits.limiter import Decision, Demand, verdict
from gateway.limits.pipeline import Pipeline
from gateway.limits.script import PREFIX, Call, Claim, Granted, unusable
from gateway.limits.waiter import Awaited, Waiter
from gateway.limits.wire import packed

TIMEOUT: Final = 0.07
"""How long a decision waits for Redis, in seconds, before a last look: memory decides in 100 ms."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class RedisLimiter:
    """Decides by one Lua script call, within *timeout* seconds or not at all.

    Time is the Redis server's own, so gateways with different clocks agree; *clock* replaces it in
    tests. Close it with `close`.
    """

    def __init__(self, pipeline: Pipeline, *, clock: Clock | None = None) -> None:
        self._pipeline = pipeline
        self._clock = clock

    @classmethod
    def from_url(cls, url: str, *, timeout: float = TIMEOUT, clock: Clock | None = None) -> Self:
        """Connect to *url*, lazily. Raises ValueError."""
        return cls(Pipeline(Endpoint.of(url), timeout=timeout), clock=clock)

    async def decide(self, demands: Sequence[Demand], token: AccessToken | None = None) -> Decision:
        """Decide all *demands* of one request, and whether *token* lives, in one script call.

        Raises LimiterUnavailable, TokenRevoked, TokenStale.
        """
        waiter = Awaited[Granted]()
        self.claim([Claim(demand) for demand in demands], token, waiter)
        grants = (await waiter.future).grants
        pairs = zip(demands, grants, strict=True)
        return Decision([verdict(d, grant.backlog_us, grant.wait_us) for d, grant in pairs])

    def claim(
        self, claims: Sequence[Claim], token: AccessToken | None, waiter: Waiter[Granted]
    ) -> None:
        """Charge what all *claims* want, or nothing when one limit refuses even one request.

        *waiter* is told; he fails with LimiterUnavailable, TokenRevoked, TokenStale.
        """
        Call(self._pipeline, waiter, claims, token, self._now()).send()

    async def check(self) -> None:
        """Ask whether Redis can write. Raises LimiterUnavailable."""
        waiter = Awaited[Any]()
        self._pipeline.ask(packed("SET", f"{PREFIX}probe", "1", "PX", 1000), waiter)
        answer = await waiter.future
        if isinstance(answer, ReplyError):
            raise unusable(answer)

    async def close(self) -> None:
        """Give the connection back."""
        await self._pipeline.close()

    def _now(self) -> int | None:
        if self._clock is None:
            return None
        return (self._clock.now() - _EPOCH) // _MICROSECOND
