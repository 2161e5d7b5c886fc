"""A request that the fast path has let pass: what the slow path needs to go on with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from chassis.jwt import AccessToken
from chassis.middleware import RequestState
from chassis.networks import Address
from gateway.fast_path.callers import Caller
from gateway.fast_path.head import Head
from gateway.fast_path.plans import Plan
from gateway.limits.headers import rate_limit_headers
from gateway.limits.limiter import Decision, Demand
from gateway.proxy.begun import Begun

ADMITTED = "gatehouse.admitted"
"""Where it stands in a scope."""


@dataclass(slots=True)  # not frozen: each field of each request would cost a call
class Admitted:
    """Who asks for what. *decision* is None on a route without limits."""

    head: Head
    plan: Plan
    caller: Caller
    token: AccessToken | None = field(repr=False)
    state: RequestState
    decision: Decision | None = None
    begun: Begun | None = None

    @property
    def address(self) -> Address:
        """Return the client's."""
        return self.caller.address

    @property
    def demands(self) -> Sequence[Demand]:
        """Return what the request is counted as."""
        user = self.token.sub if self.token is not None else None
        return self.plan.route.demands(address=self.caller.key, user=user)

    @property
    def authorization(self) -> Sequence[str]:
        """Return the values of that header."""
        given = self.head.authorization
        return () if given is None else (given.decode("latin-1"),)

    @property
    def limits(self) -> Mapping[str, str]:
        """Return what the answer says about the limits."""
        return rate_limit_headers(self.decision) if self.decision is not None else {}
