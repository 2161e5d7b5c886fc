"""High limits decided here, from allowances that Redis has charged beforehand (ADR 23)."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from chassis.jwt import AccessToken
from chassis.rates import Rate
from gateway.limits.allowance import Allowance, Terms
from gateway.limits.limiter import Decision, Demand, Verdict, verdict
from gateway.limits.redis import Claim, Granted, RedisLimiter

_MOST_KEYS = 10_000


@dataclass(slots=True)
class _Part:
    """How one limit of a request is decided: by what was leased, or by *claim*.

    *renews* says that the claim is the one that will bring the next lease.
    """

    demand: Demand
    allowance: Allowance | None
    claim: Claim | None
    renews: bool = False

    def undo(self) -> None:
        """Forget it: there is no answer, or the request is not allowed."""
        if self.allowance is not None and self.claim is None:
            self.allowance.put_back()
        elif self.allowance is not None and self.renews:
            self.allowance.fail()


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
        self._max_keys = max_keys
        self._held: OrderedDict[str, Allowance] = OrderedDict()
        self._renewals: set[asyncio.Task[Decision]] = set()

        @cache
        def terms_of(rate: Rate) -> Terms | None:
            return Terms.of(rate, share) if lease else None

        self._terms_of = terms_of

    def __len__(self) -> int:
        return len(self._held)

    def decide_now(
        self, demands: Sequence[Demand], token: AccessToken | None = None
    ) -> Decision | None:
        """Decide by what is leased, or known to be refused; None when Redis has to be asked.

        That it has to be for every *token* once in the life of a lease (D12 c).
        """
        now, taken = self._now(), list[Allowance]()
        for demand in demands:
            allowance = self._held.get(demand.key)
            met = token is None or (allowance is not None and allowance.serves(token.jti))
            if allowance is None or not met or not allowance.take(now):
                for other in taken:
                    other.put_back()
                return self._refusal(demands, now)
            taken.append(allowance)
        pairs = zip(demands, taken, strict=True)
        return Decision(tuple([allowance.verdict(demand, now, 0) for demand, allowance in pairs]))

    async def decide(self, demands: Sequence[Demand], token: AccessToken | None = None) -> Decision:
        """Decide all *demands* of one request.

        Raises LimiterUnavailable, and where Redis is asked TokenRevoked and TokenStale.
        """
        decision = self.decide_now(demands, token)
        if decision is not None:
            return decision
        terms = [self._terms_of(demand.rate) for demand in demands]
        if not any(terms):
            return await self._redis.decide(demands, token)
        now = self._now()
        parts = [self._part(d, its, now) for d, its in zip(demands, terms, strict=True)]
        wanted = [part.claim.wanted for part in parts if part.claim is not None]
        if max(wanted, default=1) == 1:
            return await self._ask(parts, token, now)
        # A lease serves others too: a caller who goes away does not take it along.
        renewal = asyncio.create_task(self._ask(parts, token, now))
        self._renewals.add(renewal)
        renewal.add_done_callback(self._renewals.discard)
        return await asyncio.shield(renewal)

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
            tuple(
                verdict(demand, 0, 0)
                if allowance is None
                else allowance.verdict(demand, now, allowance.wait_us(now))
                for demand, allowance in zip(demands, known, strict=True)
            )
        )

    def _part(self, demand: Demand, terms: Terms | None, now: int) -> _Part:
        if terms is None:
            return _Part(demand, None, Claim(demand))
        allowance = self._allowance(demand.key, terms)
        if allowance.take(now):
            return _Part(demand, allowance, None)
        claim = allowance.begin_renewal(demand, now)
        return _Part(demand, allowance, claim or Claim(demand), renews=claim is not None)

    def _allowance(self, key: str, terms: Terms) -> Allowance:
        allowance = self._held.pop(key, None) or Allowance(terms)
        self._held[key] = allowance  # the last in the order now
        if len(self._held) > self._max_keys:
            self._held.popitem(last=False)
        return allowance

    async def _ask(self, parts: Sequence[_Part], token: AccessToken | None, now: int) -> Decision:
        claims = [part.claim for part in parts if part.claim is not None]
        try:
            granted = await self._redis.claim(claims, token)
        except BaseException:  # cancelled, too
            for part in parts:
                part.undo()
            raise
        decision = _settle(parts, granted, now)
        for part in parts:
            if token is not None and part.allowance is not None:
                part.allowance.meet(token.jti)
        return decision


def _settle(parts: Sequence[_Part], granted: Granted, asked: int) -> Decision:
    """Take over the answer, part by part."""
    grants = iter(granted.grants)
    refused = any([grant.wait_us for grant in granted.grants])  # noqa: C419 - half the time
    verdicts: list[Verdict] = []
    for part in parts:
        grant = next(grants) if part.claim is not None else None
        if part.allowance is None:
            if grant is not None:  # always: what is not leased is claimed
                verdicts.append(verdict(part.demand, grant.backlog_us, grant.wait_us))
            continue
        if grant is None and refused:
            part.allowance.put_back()
        if grant is not None:
            if part.renews:
                part.allowance.renew(grant, asked=asked, now_us=granted.now_us)
            part.allowance.learn(grant, asked=asked)
        # Of its own answer: what others have been told meanwhile does not refuse this one.
        wait_us = 0 if grant is None else grant.wait_us
        verdicts.append(part.allowance.verdict(part.demand, asked, wait_us))
    return Decision(tuple(verdicts))
