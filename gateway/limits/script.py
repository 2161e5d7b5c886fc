"""One call of `gcra.lua`: what is asked of Redis for one request, and how its answer is read."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from hiredis import ReplyError

from chassis.errors import Unauthenticated
from chassis.jwt import AccessToken
from contracts.denylist import denied_key
from gateway.errors import TokenRevoked, TokenStale
from gateway.limits.limiter import AnswerUnusable, Demand, LimiterUnavailable
from gateway.limits.pipeline import Pipeline
from gateway.limits.waiter import Waiter
from gateway.limits.wire import packed

PREFIX: Final = "gatehouse:limit:"

_SCRIPT: Final = Path(__file__).with_name("gcra.lua").read_bytes()
_HASH: Final = hashlib.sha1(_SCRIPT, usedforsecurity=False).hexdigest()
_DENIALS: Final[Mapping[int, type[Unauthenticated]]] = {1: TokenRevoked, 2: TokenStale}
# Errors that tell something about a key; all others tell that this Redis is of no use now.
_OF_A_KEY: Final = ("WRONGTYPE",)


class Claim:
    """What is asked of one limit: *wanted* requests at once, at least one.

    Of an earlier claim *unused_us* of the allowance, in microseconds, were not used; they are given
    back as far as they are still charged at the server's time *until_us*.
    """

    __slots__ = ("demand", "until_us", "unused_us", "wanted")

    def __init__(
        self, demand: Demand, wanted: int = 1, unused_us: int = 0, until_us: int = 0
    ) -> None:
        self.demand = demand
        self.wanted = wanted
        self.unused_us = unused_us
        self.until_us = until_us


class Grant:
    """What one limit answers: its state after the charge, and how many of the wanted are granted.

    It waits, and nothing is granted, when it refuses; without a wait another one did.
    """

    __slots__ = ("backlog_us", "granted", "wait_us")

    def __init__(self, backlog_us: int, wait_us: int, granted: int) -> None:
        self.backlog_us = backlog_us
        self.wait_us = wait_us
        self.granted = granted


class Granted:
    """What all limits of a request answer, at the server's time in microseconds.

    `refused` says that one of them refuses.
    """

    __slots__ = ("grants", "now_us", "refused")

    def __init__(self, now_us: int, grants: Sequence[Grant]) -> None:
        self.now_us = now_us
        self.grants = grants
        self.refused = False
        for grant in grants:
            if grant.wait_us:
                self.refused = True


class Call(Waiter[Any]):
    """A call of the script, by its hash; *waiter* is told what it grants.

    He fails with LimiterUnavailable, TokenRevoked, TokenStale. *now_us* is the time the script
    reckons with, None for the server's own.
    """

    __slots__ = ("_deadline", "_failed", "_limits", "_pipeline", "_timer", "_waiter", "_words")

    def __init__(
        self,
        pipeline: Pipeline,
        waiter: Waiter[Granted],
        claims: Sequence[Claim],
        token: AccessToken | None,
        now_us: int | None,
    ) -> None:
        self._pipeline = pipeline
        self._waiter = waiter
        self._limits = len(claims)
        self._words = _words(claims, token, now_us)
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._failed = False

    def send(self) -> None:
        """Ask Redis."""
        self._deadline = self._pipeline.loop.time() + self._pipeline.timeout
        self._pipeline.ask(packed("EVALSHA", _HASH, *self._words), self)

    @property
    def gone(self) -> bool:
        """Say whether nobody wants the answer any more."""
        return self._failed or self._waiter.gone

    def tell(self, answer: Any) -> None:
        """Read the answer; where Redis has not the script, send it along within the same time."""
        if self._timer is not None:
            self._timer.cancel()
        elif _asks_for_script(answer) and not self._waiter.gone:
            self._timer = self._pipeline.loop.call_at(self._deadline, self._be_late)
            self._pipeline.ask(packed("EVAL", _SCRIPT, *self._words), self)
            return
        if self._failed:
            return
        try:
            granted = read(answer, self._limits)
        except (LimiterUnavailable, Unauthenticated) as error:
            self.fail(error)
        else:
            self._waiter.tell(granted)

    def fail(self, error: Exception) -> None:
        """Pass on why there is no answer."""
        if self._timer is not None:
            self._timer.cancel()
        if not self._failed:
            self._failed = True
            self._waiter.fail(error)

    def _be_late(self) -> None:
        self.fail(LimiterUnavailable("TimeoutError"))


def read(answer: Any, limits: int) -> Granted:
    """Read what Redis says of so many *limits*.

    Raises LimiterUnavailable, AnswerUnusable, TokenRevoked, TokenStale.
    """
    if isinstance(answer, ReplyError):
        raise unusable(answer) from answer
    if not isinstance(answer, list) or not _are_numbers(answer):
        raise AnswerUnusable("NotAnAnswer")
    if len(answer) == 1 and answer[0] in _DENIALS:
        raise _DENIALS[answer[0]]
    if len(answer) != 1 + 3 * limits:
        raise AnswerUnusable("NotAnAnswer")
    starts = range(1, len(answer), 3)
    return Granted(answer[0], [Grant(answer[at], answer[at + 1], answer[at + 2]) for at in starts])


def unusable(error: ReplyError) -> LimiterUnavailable:
    """Return what an error reply means: this decision cannot be had, or none at all."""
    code = str(error).split(maxsplit=1)[0]
    return AnswerUnusable(code) if code in _OF_A_KEY else LimiterUnavailable(code)


def _are_numbers(answer: list[Any]) -> bool:
    for one in answer:
        if type(one) is not int:
            return False
    return bool(answer)


def _asks_for_script(answer: object) -> bool:
    return isinstance(answer, ReplyError) and str(answer).startswith("NOSCRIPT")


def _words(
    claims: Sequence[Claim], token: AccessToken | None, now_us: int | None
) -> list[str | int]:
    """Return what the script is told: how many keys, the keys, the time, the token, the claims."""
    keys = [PREFIX + claim.demand.key for claim in claims]
    if token is not None:
        keys.append(denied_key("jti", token.jti))
        keys.append(denied_key("sid", token.sid))
        keys.append(denied_key("sub", token.sub))
    words: list[str | int] = [len(keys), *keys]
    words.append("" if now_us is None else now_us)
    words.append("" if token is None else token.ver)
    for claim in claims:
        rate = claim.demand.rate
        words += (rate.period_us, rate.interval_us, claim.wanted, claim.unused_us, claim.until_us)
    return words
