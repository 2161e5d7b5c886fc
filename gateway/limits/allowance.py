"""What this process knows of one leased limit: what it may still allow, and until when nothing.

Times are microseconds; what Redis calls now differs from what the process does (ADR 23).
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from chassis.rates import Rate
from gateway.limits.limiter import Demand, Verdict
from gateway.limits.script import Claim, Grant

# A lease is at most a thirtieth of the limit and lives as long as that takes to refill.
_PARTS: Final = 30
_LONGEST_US: Final = timedelta(seconds=2) // timedelta(microseconds=1)
# What is allowed less often than a hundred times a minute is always counted exactly.
_WIDEST_INTERVAL_US: Final = timedelta(minutes=1) // timedelta(microseconds=100)
_FEWEST: Final = 2
# Of one key; each more asks Redis.
_MOST_TOKENS: Final = 4


@dataclass(frozen=True, slots=True)
class Terms:
    """How a rate is leased: up to *most* requests at once, to be used within *life_us*.

    *others_us* is what the leases of all other gateway processes can hold of the allowance.
    """

    period_us: int
    interval_us: int
    most: int
    life_us: int
    others_us: int

    @classmethod
    def of(cls, rate: Rate, share: int) -> "Terms | None":
        """Return the terms of *rate* among *share* gateway processes; None for an exact limit."""
        life = min(rate.period_us // _PARTS, _LONGEST_US)
        most = life // rate.interval_us
        if rate.interval_us > _WIDEST_INTERVAL_US or most < _FEWEST:
            return None
        return cls(rate.period_us, rate.interval_us, most, life, (share - 1) * life)


class Allowance:
    """The lease of one key: what it may still allow, and what to ask for next.

    A lease grows to twice the size of one that was used up in time and shrinks to what was used of
    one that was not: who asks seldom binds nothing.
    """

    __slots__ = (
        "_backlog_us",
        "_charged_until",
        "_ends",
        "_left",
        "_met",
        "_refused_until",
        "_renewing",
        "_size",
        "_terms",
        "_told",
        "_used",
    )

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._left = self._used = self._size = 0
        self._ends = self._told = self._backlog_us = 0
        self._refused_until = self._charged_until = 0
        self._met: tuple[str, ...] = ()
        self._renewing = False

    def serves(self, jti: str | None) -> bool:
        """Say whether the deny list has been asked for this token since the lease began.

        For no token it need not be.
        """
        return jti is None or jti in self._met

    def meet(self, jti: str) -> None:
        """Remember that it has been asked, and that the token is alive."""
        if jti not in self._met:
            self._met = (*self._met[1 - _MOST_TOKENS :], jti)

    def wait_us(self, now: int) -> int:
        """Return how long Redis has said to wait, as far as that is not over; 0 for not at all."""
        return max(0, self._refused_until - now)

    def take(self, now: int) -> bool:
        """Use one of what is leased, if there is one."""
        if not self._left or now >= self._ends:
            return False
        self._left -= 1
        self._used += 1
        return True

    def put_back(self) -> None:
        """Undo a `take`: the request was not allowed after all."""
        self._left += 1
        self._used -= 1
        self._refused_until = 0

    def begin_renewal(self, demand: Demand, now: int) -> Claim | None:
        """Return what to claim, giving back what is left; None while somebody renews already.

        End it by `renew` or `fail`.
        """
        if self._renewing:
            return None
        self._renewing = True
        unused_us, self._left = self._left * self._terms.interval_us, 0
        return Claim(demand, self._next_size(now), unused_us, self._charged_until)

    def renew(self, grant: Grant, *, asked: int, now_us: int) -> None:
        """Take over what was granted at the server's time *now_us*; the first of it is used."""
        self._renewing = False
        if grant.granted:
            self._met = ()
            self._size, self._used, self._left = grant.granted, 1, grant.granted - 1
            self._ends = asked + self._terms.life_us
            self._charged_until = now_us + grant.backlog_us - self._terms.others_us

    def fail(self) -> None:
        """End a renewal without an answer: what it would have brought, or given back, is lost."""
        self._renewing = False

    def learn(self, grant: Grant, *, asked: int) -> None:
        """Remember how the limit stands; what is leased holds also when more is refused."""
        self._told, self._backlog_us = asked, grant.backlog_us
        self._refused_until = 0 if self._left else asked + grant.wait_us

    def verdict(self, demand: Demand, now: int, wait_us: int) -> Verdict:
        """Return what the limit says, as far as is known here, when it says to wait *wait_us*."""
        terms = self._terms
        bound_us = self._left * terms.interval_us if now < self._ends else 0
        backlog_us = max(0, self._backlog_us - (now - self._told) - bound_us)
        remaining = max(0, terms.period_us - backlog_us) // terms.interval_us
        return Verdict(demand, remaining, wait_us, backlog_us)

    def _next_size(self, now: int) -> int:
        terms = self._terms
        if now < self._ends:
            return min(terms.most, 2 * self._size)
        return max(1, self._used) if now < self._ends + terms.life_us else 1
