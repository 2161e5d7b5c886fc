"""Limits counted in Redis, exactly and together for every gateway: one script call a request.

The same call reads the deny list that token keeps there (D12 c).
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, Self

from hiredis import ReplyError

from chassis.clock import Clock
from chassis.errors import Unauthenticated
from chassis.jwt import AccessToken
from contracts.denylist import denied_key
from gateway.errors import TokenRevoked, TokenStale
from gateway.limits.endpoint import Endpoint
from gateway.limits.limiter import AnswerUnusable, Decision, Demand, LimiterUnavailable, verdict
from gateway.limits.pipeline import Pipeline
from gateway.limits.wire import packed

TIMEOUT = 0.07
"""How long a decision waits for Redis, in seconds, before a last look: memory decides in 100 ms."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PREFIX = "gatehouse:limit:"
_DENIALS: Mapping[int, type[Unauthenticated]] = {1: TokenRevoked, 2: TokenStale}
_SCRIPT = Path(__file__).with_name("gcra.lua").read_bytes()
_BY_HASH = ("EVALSHA", hashlib.sha1(_SCRIPT, usedforsecurity=False).hexdigest())
_BY_TEXT = ("EVAL", _SCRIPT)
_NUMBERS = {int}
# Errors that tell something about a key; all others tell that this Redis is of no use now.
_OF_A_KEY = ("WRONGTYPE",)


class Claim(NamedTuple):
    """What is asked of one limit: *wanted* requests at once, at least one.

    Of an earlier claim *unused_us* of the allowance, in microseconds, were not used; they are given
    back as far as they are still charged at the server's time *until_us*.
    """

    demand: Demand
    wanted: int = 1
    unused_us: int = 0
    until_us: int = 0


class Grant(NamedTuple):
    """What one limit answers: its state after the charge, and how many of the wanted are granted.

    It waits, and nothing is granted, when it refuses; without a wait another one did.
    """

    backlog_us: int
    wait_us: int
    granted: int


class Granted(NamedTuple):
    """What all limits of a request answer, at the server's time in microseconds."""

    now_us: int
    grants: Sequence[Grant]


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
        granted = await self.claim([Claim(demand) for demand in demands], token)
        pairs = zip(demands, granted.grants, strict=True)
        return Decision(tuple(verdict(d, grant.backlog_us, grant.wait_us) for d, grant in pairs))

    async def claim(self, claims: Sequence[Claim], token: AccessToken | None = None) -> Granted:
        """Charge what all *claims* want, or nothing when one limit refuses even one request.

        Raises LimiterUnavailable, TokenRevoked, TokenStale.
        """
        keys = [_PREFIX + claim.demand.key for claim in claims] + _denials_of(token)
        call: list[str | int] = [len(keys), *keys, self._now(), "" if token is None else token.ver]
        for demand, wanted, unused_us, until_us in claims:
            rate = demand.rate
            call += (rate.period_us, rate.interval_us, wanted, unused_us, until_us)
        return _granted(await self._call(call), len(claims))

    async def check(self) -> None:
        """Ask whether Redis can write. Raises LimiterUnavailable."""
        answer = await self._pipeline.ask(packed("SET", f"{_PREFIX}probe", "1", "PX", 1000))
        if isinstance(answer, ReplyError):
            raise _unusable(answer)

    async def close(self) -> None:
        """Give the connection back."""
        await self._pipeline.close()

    async def _call(self, call: Sequence[str | int]) -> Any:
        asked = asyncio.get_running_loop().time()
        answer = await self._pipeline.ask(packed(*_BY_HASH, *call))
        if isinstance(answer, ReplyError) and str(answer).startswith("NOSCRIPT"):
            try:
                async with asyncio.timeout_at(asked + self._pipeline.timeout):
                    answer = await self._pipeline.ask(packed(*_BY_TEXT, *call))
            except TimeoutError as error:
                raise LimiterUnavailable(type(error).__name__) from error
        if isinstance(answer, ReplyError):
            raise _unusable(answer) from answer
        return answer

    def _now(self) -> str | int:
        if self._clock is None:
            return ""
        return (self._clock.now() - _EPOCH) // timedelta(microseconds=1)


def _granted(answer: Any, limits: int) -> Granted:
    """Read an answer. Raises AnswerUnusable, TokenRevoked, TokenStale."""
    if not isinstance(answer, list) or set(map(type, answer)) != _NUMBERS:
        raise AnswerUnusable("NotAnAnswer")
    if len(answer) == 1 and answer[0] in _DENIALS:
        raise _DENIALS[answer[0]]
    if len(answer) != 1 + 3 * limits:
        raise AnswerUnusable("NotAnAnswer")
    starts = range(1, len(answer), 3)
    return Granted(answer[0], [Grant(*answer[at : at + 3]) for at in starts])


def _unusable(error: ReplyError) -> LimiterUnavailable:
    """Return what an error reply means: this decision cannot be had, or none at all."""
    code = str(error).split(maxsplit=1)[0]
    return AnswerUnusable(code) if code in _OF_A_KEY else LimiterUnavailable(code)


def _denials_of(token: AccessToken | None) -> list[str]:
    """Return where the deny list would name *token*, as the script expects it."""
    if token is None:
        return []
    return [
        denied_key("jti", token.jti),
        denied_key("sid", token.sid),
        denied_key("sub", token.sub),
    ]
