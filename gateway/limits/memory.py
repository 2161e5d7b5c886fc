"""Limits counted in this process: without Redis, and while it is away."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from chassis.clock import Clock
from chassis.jwt import AccessToken
from gateway.limits.limiter import Decision, Demand, judge

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_KEYS = 100_000


class MemoryLimiter:
    """Counts in a dictionary; *share* is by how many the limits are divided.

    Each of `GATEWAY_REPLICAS` times workers counts for itself, so each allows its part only.
    At most *max_keys* keys are held: what has refilled is forgotten first, then the oldest.
    """

    def __init__(self, clock: Clock, *, share: int = 1, max_keys: int = _MAX_KEYS) -> None:
        self._clock = clock
        self._share = share
        self._max_keys = max_keys
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
        now = (self._clock.now() - _EPOCH) // timedelta(microseconds=1)
        mine = [Demand(d.name, d.key, d.rate.divided(self._share)) for d in demands]
        arrivals = [self._arrivals.get(demand.key, 0) for demand in mine]
        decision = judge(mine, arrivals, now)
        if decision.allowed:
            self._charge(decision, now)
        return decision

    def _charge(self, decision: Decision, now: int) -> None:
        if len(self._arrivals) + len(decision.verdicts) > self._max_keys:
            self._forget(now)
        for verdict in decision.verdicts:
            self._arrivals[verdict.demand.key] = now + verdict.reset_us

    def _forget(self, now: int) -> None:
        self._arrivals = {key: at for key, at in self._arrivals.items() if at > now}
        # A tenth at once, so that a flood of keys does not sweep on every request.
        surplus = len(self._arrivals) - self._max_keys * 9 // 10
        for key in list(self._arrivals)[: max(0, surplus)]:
            del self._arrivals[key]
