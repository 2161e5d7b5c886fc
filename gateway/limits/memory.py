"""Limits counted in this process: without Redis, and while it is away."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from chassis.clock import Clock
from chassis.jwt import AccessToken
from chassis.rates import Rate
from gateway.limits.limiter import Decision, Demand, judge
from gateway.limits.waiter import Waiter

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_MAX_KEYS: Final = 100_000
_FIRST_SWEEP: Final = 1_000
_NOTABLE: Final = 4


class MemoryLimiter:
    """Counts in a dictionary; *share* is by how many the limits are divided.

    Each of `GATEWAY_REPLICAS` times workers counts for itself, so each allows its part only.
    What has refilled is forgotten whenever the number of keys has doubled; at most *max_keys* are
    held, then the oldest go.
    """

    def __init__(self, clock: Clock, *, share: int = 1, max_keys: int = _MAX_KEYS) -> None:
        self._clock = clock
        self._share = share
        self._divided: dict[Rate, Rate] = {}
        self._max_keys = max_keys
        self._sweep_at = min(_FIRST_SWEEP, max_keys)
        self._arrivals: dict[str, int] = {}

    async def decide(self, demands: Sequence[Demand], token: AccessToken | None = None) -> Decision:
        """Decide all *demands* of one request."""
        return self.decide_now(demands, token)

    def decide_now(
        self,
        demands: Sequence[Demand],
        token: AccessToken | None = None,  # noqa: ARG002 - the deny list in memory was asked before
    ) -> Decision:
        """Decide all *demands* of one request; nothing awaits in between, so it is atomic."""
        now = self._now()
        mine = [Demand(d.name, d.key, self._share_of(d.rate)) for d in demands]
        arrivals = [self._arrivals.get(demand.key, 0) for demand in mine]
        decision = judge(mine, arrivals, now)
        if decision.allowed:
            self._charge(decision, now)
        return decision

    def ask(
        self, demands: Sequence[Demand], token: AccessToken | None, waiter: Waiter[Decision]
    ) -> None:
        """Tell *waiter* at once."""
        waiter.tell(self.decide_now(demands, token))

    def remember(self, decision: Decision) -> None:
        """Take over what has been counted elsewhere, of limits of which a quarter is used up.

        Whoever has used up an allowance there does not find a new one here.
        """
        for verdict in decision.verdicts:
            if verdict.reset_us * _NOTABLE >= verdict.demand.rate.period_us:
                self._keep(verdict.demand.key, verdict.reset_us, self._now())

    def _share_of(self, rate: Rate) -> Rate:
        try:
            return self._divided[rate]
        except KeyError:
            share = self._divided[rate] = rate.divided(self._share)
            return share

    def _charge(self, decision: Decision, now: int) -> None:
        for verdict in decision.verdicts:
            self._keep(verdict.demand.key, verdict.reset_us, now)

    def _keep(self, key: str, backlog_us: int, now: int) -> None:
        if len(self._arrivals) >= self._sweep_at:
            self._forget(now)
        self._arrivals[key] = now + backlog_us

    def _forget(self, now: int) -> None:
        self._arrivals = {key: at for key, at in self._arrivals.items() if at > now}
        # A tenth at once, so that a flood of keys does not sweep on every request.
        surplus = len(self._arrivals) - self._max_keys * 9 // 10
        for key in list(self._arrivals)[: max(0, surplus)]:
            del self._arrivals[key]
        self._sweep_at = min(max(_FIRST_SWEEP, 2 * len(self._arrivals)), self._max_keys)

    def _now(self) -> int:
        return (self._clock.now() - _EPOCH) // _MICROSECOND
