"""What a limiter is asked and what it answers; Redis and memory answer alike."""

from collections.abc import Sequence
from math import ceil
from typing import NamedTuple, Protocol

from chassis.jwt import AccessToken
from chassis.rates import Rate

_MICROSECONDS = 1_000_000


class Demand(NamedTuple):
    """One limit a request falls under: whose allowance (*key*) of which *rate*.

    *name* is the limit's public name, part of the headers; *key* is never shown.
    """

    name: str
    key: str
    rate: Rate


class Verdict(NamedTuple):
    """What one limit says; times are in microseconds.

    `wait_us` is 0 when it allows, `reset_us` is the time until the allowance is whole again.
    """

    demand: Demand
    remaining: int
    wait_us: int
    reset_us: int


class Decision(NamedTuple):
    """What all limits of one request say together: either all are charged or none."""

    verdicts: tuple[Verdict, ...]

    @property
    def allowed(self) -> bool:
        """Say whether every limit allows the request."""
        return not any([verdict.wait_us for verdict in self.verdicts])  # noqa: C419 - half the time

    @property
    def tightest(self) -> Verdict:
        """Return the verdict nearest to refusal, or the one that refuses longest."""
        if len(self.verdicts) == 1:
            return self.verdicts[0]
        return min(self.verdicts, key=lambda verdict: (-verdict.wait_us, verdict.remaining))

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


class LimiterUnavailable(Exception):  # noqa: N818 - a state of the world
    """The counters cannot be reached."""


class AnswerUnusable(LimiterUnavailable):
    """The counters answer, but not this question: others are answered."""


def judge(demands: Sequence[Demand], arrivals: Sequence[int], now_us: int) -> Decision:
    """Decide by GCRA; *arrivals* are the theoretical arrival times as stored, in microseconds.

    The Lua script in `gcra.lua` says the same; one suite of tests holds both to it.
    """
    backlogs = [max(arrival - now_us, 0) for arrival in arrivals]
    waits = [
        max(0, backlog + demand.rate.interval_us - demand.rate.period_us)
        for demand, backlog in zip(demands, backlogs, strict=True)
    ]
    charged = 0 if any(waits) else 1
    return Decision(
        tuple(
            verdict(demand, backlog + charged * demand.rate.interval_us, wait)
            for demand, backlog, wait in zip(demands, backlogs, waits, strict=True)
        )
    )


def verdict(demand: Demand, backlog_us: int, wait_us: int) -> Verdict:
    """Return what a limit says whose allowance is used up by *backlog_us*."""
    free = max(0, demand.rate.period_us - backlog_us)
    return Verdict(demand, free // demand.rate.interval_us, wait_us, backlog_us)
