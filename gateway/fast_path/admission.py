"""Who may pass at once: `gateway.edge`'s judgement of what a head at a glance can hold.

The order is that of the edge, the functions are the same. What would be refused is not refused
here: nothing was counted yet, and the slow path says why.
"""

from collections.abc import Sequence
from os import urandom

from chassis.errors import Problem
from chassis.jwt import AccessToken
from chassis.middleware import RequestState
from chassis.tracing import continue_trace
from gateway.edge import Parts
from gateway.errors import TokenRequired
from gateway.fast_path.admitted import Admitted
from gateway.fast_path.callers import Callers
from gateway.fast_path.head import Head
from gateway.fast_path.plans import Plans
from gateway.limits.limiter import Decision, Demand
from gateway.limits.waiter import Waiter
from gateway.routing.table import Route


class Admission:
    """Judges by *parts*."""

    def __init__(self, parts: Parts, plans: Plans, callers: Callers) -> None:
        self._parts = parts
        self._plans = plans
        self._callers = callers

    def admit(self, head: Head, peer: str) -> Admitted | None:
        """Return the request that may pass but for its limits; None is for the slow path.

        It holds a place among the open requests of its address.
        """
        parts, plan = self._parts, self._plans.find(head.path)
        if plan is None or not parts.shedding.idle:
            return None
        caller = self._callers.find(peer, head.forwarded_for)
        if parts.blocks.covers(caller.address) or not self._is_for_us(head.host):
            return None
        try:
            token = self._token(plan.route, head.authorization)
        except Problem:
            return None
        if not parts.open_requests.take_if_free(caller.key):
            return None
        trace = continue_trace(head.traceparent.decode("latin-1") if head.traceparent else None)
        return Admitted(head, plan, caller, token, RequestState(urandom(16).hex(), trace))

    def decide(self, admitted: Admitted, demands: Sequence[Demand]) -> Decision | None:
        """Charge the limits; None when somebody has to be asked."""
        return self._parts.limiter.decide_now(demands, admitted.token)

    def ask(self, admitted: Admitted, demands: Sequence[Demand], waiter: Waiter[Decision]) -> None:
        """Charge the limits where they are counted: *waiter* is told."""
        self._parts.limiter.ask(demands, admitted.token, waiter)

    def give_back(self, admitted: Admitted) -> None:
        """Give the place back."""
        self._parts.open_requests.give_back(admitted.caller.key)

    def _is_for_us(self, host: bytes | None) -> bool:
        hosts = self._parts.hosts
        return not hosts or (host is not None and host.decode("ascii").lower() in hosts)

    def _token(self, route: Route, authorization: bytes | None) -> AccessToken | None:
        """Return the caller's token. Raises a Problem for one that does not open *route*."""
        if route.access == "public":
            return None
        if authorization is None:
            raise TokenRequired  # or cookies: the slow path looks
        given = (authorization.decode("latin-1"),)
        return self._parts.authentication.token_at_once(route, given)
