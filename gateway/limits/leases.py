"""High limits decided here, from allowances that Redis has charged beforehand (ADR 23)."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from chassis.jwt import AccessToken
from chassis.rates import Rate
from gateway.limits.allowance import Allowance, Terms
from gateway.limits.limiter import Decision, Demand, Verdict, decide_or_ask, verdict
from gateway.limits.redis import RedisLimiter
from gateway.limits.renewal import Part, Renewal
from gateway.limits.script import Claim
from gateway.limits.waiter import Waiter

_MOST_KEYS: Final = 10_000


class LeasedLimiter:
    """Leases allowances of high limits from Redis in batches; all others are counted there exactly.

    One request's limits are charged together or not at all. *now* is the process' own time in
    microseconds, and never goes back; *share* is the number of gateway processes; *lease* False
    has every limit counted exactly. At most *max_keys* keys are known, those that have not been
    renewed for longest are forgotten: what they have leased is lost.
    """

    def __init__(
        self,
        redis: RedisLimiter,
        now: Callable[[], int],
        *,
        share: int = 1,
        lease: bool = True,
        max_keys: int = _MOST_KEYS,
    ) -> None:
        self._redis = redis
        self._now = now
        self._share = share
        self._lease = lease
        self._max_keys = max_keys
        self._held: OrderedDict[str, Allowance] = OrderedDict()
        self._terms: dict[Rate, Terms | None] = {}

    def __len__(self) -> int:
        return len(self._held)

    def decide_now(
        self, demands: Sequence[Demand], token: AccessToken | None = None
    ) -> Decision | None:
        """Decide by what is leased, or known to be refused; None when Redis has to be asked.

        That it has to be for every *token* once in the life of a lease (D12 c).
        """
        now = self._now()
        jti = None if token is None else token.jti
        verdicts: list[Verdict] = []
        for demand in demands:
            allowance = self._held.get(demand.key)
            if allowance is None or not allowance.serves(jti) or not allowance.take(now):
                for taken in demands[: len(verdicts)]:
                    self._held[taken.key].put_back()
                return self._refusal(demands, now)
            verdicts.append(allowance.verdict(demand, now, 0))
        return Decision(verdicts)

    async def decide(self, demands: Sequence[Demand], token: AccessToken | None = None) -> Decision:
        """Decide all *demands* of one request.

        Raises LimiterUnavailable, and where Redis is asked TokenRevoked and TokenStale.
        """
        return await decide_or_ask(self, demands, token)

    def ask(
        self, demands: Sequence[Demand], token: AccessToken | None, waiter: Waiter[Decision]
    ) -> None:
        """Decide as `decide` does where `decide_now` could not; *waiter* fails as it raises."""
        now = self._now()
        parts = [self._part(demand, now) for demand in demands]
        renewal = Renewal(parts, token, now, waiter)
        try:
            self._redis.claim(renewal.claims, token, renewal)
        except Exception as error:  # noqa: BLE001 - told to who waits; nothing may stay begun
            renewal.fail(error)

    def forget(self) -> None:
        """Drop all leases and refusals: another one counts from now on."""
        self._held.clear()

    def _refusal(self, demands: Sequence[Demand], now: int) -> Decision | None:
        """Return what is known when a limit refuses; the state of others does not matter then."""
        known = [self._held.get(demand.key) for demand in demands]
        for allowance in known:
            if allowance is not None and allowance.wait_us(now):
                break
        else:
            return None
        return Decision(
            [
                verdict(demand, 0, 0)
                if allowance is None
                else allowance.verdict(demand, now, allowance.wait_us(now))
                for demand, allowance in zip(demands, known, strict=True)
            ]
        )

    def _part(self, demand: Demand, now: int) -> Part:
        terms = self._terms_of(demand.rate)
        if terms is None:
            return Part(demand, None, Claim(demand))
        allowance = self._allowance(demand.key, terms)
        if allowance.take(now):
            return Part(demand, allowance, None)
        claim = allowance.begin_renewal(demand, now)
        if claim is None:
            return Part(demand, allowance, Claim(demand))
        return Part(demand, allowance, claim, renews=True)

    def _allowance(self, key: str, terms: Terms) -> Allowance:
        allowance = self._held.pop(key, None) or Allowance(terms)
        self._held[key] = allowance  # the last in the order now
        if len(self._held) > self._max_keys:
            self._held.popitem(last=False)
        return allowance

    def _terms_of(self, rate: Rate) -> Terms | None:
        try:
            return self._terms[rate]
        except KeyError:
            terms = self._terms[rate] = Terms.of(rate, self._share) if self._lease else None
            return terms
