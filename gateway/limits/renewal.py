"""One question to Redis for all limits of a request: which of them it asks, what it brings."""

from collections.abc import Sequence

from chassis.jwt import AccessToken
from gateway.limits.allowance import Allowance
from gateway.limits.limiter import Decision, Demand, Verdict, verdict
from gateway.limits.script import Claim, Grant, Granted
from gateway.limits.waiter import Waiter


class Part:
    """How one limit of a request is decided: by what was leased, or by *claim*.

    *renews* says that the claim is the one that will bring the next lease.
    """

    __slots__ = ("allowance", "claim", "demand", "renews")

    def __init__(
        self,
        demand: Demand,
        allowance: Allowance | None,
        claim: Claim | None,
        *,
        renews: bool = False,
    ) -> None:
        self.demand = demand
        self.allowance = allowance
        self.claim = claim
        self.renews = renews

    def undo(self) -> None:
        """Forget it: there is no answer, or the request is not allowed."""
        if self.allowance is not None and self.claim is None:
            self.allowance.put_back()
        elif self.allowance is not None and self.renews:
            self.allowance.fail()

    def settle(self, grant: Grant | None, granted: Granted, asked: int) -> Verdict:
        """Take over what its claim was granted; without one, keep or put back what was taken."""
        allowance, wait_us = self.allowance, 0 if grant is None else grant.wait_us
        if allowance is None:  # then it has claimed
            return verdict(self.demand, 0 if grant is None else grant.backlog_us, wait_us)
        if grant is None:
            if granted.refused:
                allowance.put_back()
        else:
            if self.renews:
                allowance.renew(grant, asked=asked, now_us=granted.now_us)
            allowance.learn(grant, asked=asked)
        # Of its own answer: what others have been told meanwhile does not refuse this one.
        return allowance.verdict(self.demand, asked, wait_us)


class Renewal(Waiter[Granted]):
    """The question that *parts* ask, *asked* at the process' own time; *waiter* is told.

    A lease serves others too: a caller who goes away does not take it along.
    """

    __slots__ = ("_asked", "_parts", "_token", "_waiter", "_wanted", "claims")

    def __init__(
        self,
        parts: Sequence[Part],
        token: AccessToken | None,
        asked: int,
        waiter: Waiter[Decision],
    ) -> None:
        self._parts = parts
        self._token = token
        self._asked = asked
        self._waiter = waiter
        self._wanted = 1
        self.claims: list[Claim] = []
        for part in parts:
            if part.claim is not None:
                self.claims.append(part.claim)
                self._wanted = max(self._wanted, part.claim.wanted)

    @property
    def gone(self) -> bool:
        """Say whether it need not be asked."""
        return self._wanted == 1 and self._waiter.gone

    def tell(self, answer: Granted) -> None:
        """Take over the answer, part by part; for one who has gone away it counts as none."""
        if self.gone:
            self._undo()
            return
        verdicts: list[Verdict] = []
        at = 0
        for part in self._parts:
            if part.claim is None:
                verdicts.append(part.settle(None, answer, self._asked))
            else:
                verdicts.append(part.settle(answer.grants[at], answer, self._asked))
                at += 1
            if self._token is not None and part.allowance is not None:
                part.allowance.meet(self._token.jti)
        self._parts = ()  # there is nothing to undo any more
        self._waiter.tell(Decision(verdicts))

    def fail(self, error: Exception) -> None:
        """Undo what was begun."""
        self._undo()
        self._waiter.fail(error)

    def _undo(self) -> None:
        for part in self._parts:
            part.undo()
