"""What a limiter is asked and what it answers; Redis and memory answer alike."""

from collections.abc import Sequence
from math import ceil
from typing import Final, Protocol

from chassis.jwt import AccessToken
from chassis.rates import Rate
from gateway.limits.waiter import Awaited, Waiter

_MICROSECONDS: Final = 1_000_000


class Demand:
    """One limit a request falls under: whose allowance (*key*) of which *rate*.

    *name* is the limit's public name, part of the headers; *key* is never shown.
    """

    __slots__ = ("key", "name", "rate")

    def __init__(self, name: str, key: str, rate: Rate) -> None:
        self.name = name
        self.key = key
        self.rate = rate


class Verdict:
    """What one limit says; times are in microseconds.

    `wait_us` is 0 when it allows, `reset_us` is the time until the allowance is whole again.
    """

    __slots__ = ("demand", "remaining", "reset_us", "wait_us")

    def __init__(self, demand: Demand, remaining: int, wait_us: int, reset_us: int) -> None:
        self.demand = demand
        self.remaining = remaining
        self.wait_us = wait_us
        self.reset_us = reset_us


class Decision:
    """What all limits of one request say together: either all are charged or none.

    `allowed` says whether every limit allows the request.
    """

    __slots__ = ("allowed", "verdicts")

    def __init__(self, verdicts: Sequence[Verdict]) -> None:
        self.verdicts = verdicts
        self.allowed = True
        for one in verdicts:
            if one.wait_us:
                self.allowed = False

    @property
    def tightest(self) -> Verdict:
        """Return the verdict nearest to refusal, or the one that refuses longest."""
        tightest = self.verdicts[0]
        for one in self.verdicts:
            wait_us = tightest.wait_us
            nearer = one.wait_us == wait_us and one.remaining < tightest.remaining
            if nearer or one.wait_us > wait_us:
                tightest = one
        return tightest

    @property
    def retry_after(self) -> int:
        """Return the whole seconds to wait, at least 1."""
        return max(1, ceil(self.tightest.wait_us / _MICROSECONDS))


class Limiter(Protocol):
    """Decides whether a request may pass, and counts it when it may."""

    async def decide(self, demands: Sequence[Demand], token: AccessToken | None = None) -> Decision:
        """Decide all *demands* of one request in one atomic step.

        Raises LimiterUnavailable when it cannot decide now, and where the counters lie beside
        the deny list also TokenRevoked or TokenStale for *token*, which then costs nothing.
        """
        ...

    def decide_now(
        self, demands: Sequence[Demand], token: AccessToken | None = None
    ) -> Decision | None:
        """Decide as `decide` would when nobody else has to be asked; None when somebody has."""
        ...

    def ask(
        self, demands: Sequence[Demand], token: AccessToken | None, waiter: Waiter[Decision]
    ) -> None:
        """Decide where `decide_now` could not; *waiter* is told, or fails as `decide` raises."""
        ...


class LimiterUnavailable(Exception):  # noqa: N818 - a state of the world
    """The counters cannot be reached."""


class AnswerUnusable(LimiterUnavailable):
    """The counters answer, but not this question: others are answered."""


async def decide_or_ask(
    limiter: Limiter, demands: Sequence[Demand], token: AccessToken | None
) -> Decision:
    """Decide at once where *limiter* can, else await what it is told. Raises as it does."""
    decision = limiter.decide_now(demands, token)
    if decision is None:
        waiter = Awaited[Decision]()
        limiter.ask(demands, token, waiter)
        decision = await waiter.future
    return decision


def judge(demands: Sequence[Demand], arrivals: Sequence[int], now_us: int) -> Decision:
    """Decide by GCRA; *arrivals* are the theoretical arrival times as stored, in microseconds.

    The Lua script in `gcra.lua` says the same; one suite of tests holds both to it.
    """
    backlogs = [max(arrival - now_us, 0) for arrival in arrivals]
    waits = [
        max(0, backlog + demand.rate.interval_us - demand.rate.period_us)
        for demand, backlog in zip(demands, backlogs, strict=True)
    ]
    if not any(waits):
        backlogs = [
            backlog + demand.rate.interval_us
            for demand, backlog in zip(demands, backlogs, strict=True)
        ]
    return Decision(
        [
            verdict(demand, backlog, wait)
            for demand, backlog, wait in zip(demands, backlogs, waits, strict=True)
        ]
    )


def verdict(demand: Demand, backlog_us: int, wait_us: int) -> Verdict:
    """Return what a limit says whose allowance is used up by *backlog_us*."""
    free = max(0, demand.rate.period_us - backlog_us)
    return Verdict(demand, free // demand.rate.interval_us, wait_us, backlog_us)
