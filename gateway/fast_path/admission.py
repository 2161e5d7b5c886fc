"""Who may pass at once: `gateway.edge`'s judgement of what a head at a glance can hold.

The order is that of the edge, the functions are the same. What would be refused is not refused
here: nothing was counted yet, and the slow path says why.
"""

from collections.abc import Sequence
from os import urandom

from chassis.errors import Problem
from chassis.middleware import RequestState
from chassis.networks import Address
from chassis.tracing import continue_trace
from gateway.address import limit_key
from gateway.edge import Parts, demands_of
from gateway.fast_path.admitted import Admitted
from gateway.fast_path.head import Head
from gateway.fast_path.plans import Plan, Plans
from gateway.framing import is_host
from gateway.limits.limiter import Decision, Demand


class Admission:
    """Judges by *parts*."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._plans = Plans(lambda: parts.routes.table)

    def admit(self, head: Head, peer: str) -> Admitted | None:
        """Return the request that may pass but for its limits; None is for the slow path.

        It holds a place among the open requests of its address.
        """
        parts, plan = self._parts, self._plans.find(head.path)
        if plan is None or not parts.shedding.idle:
            return None
        address = self._address(head, peer)
        if parts.blocks.covers(address) or not self._is_for_us(head.read.get(b"host")):
            return None
        admitted = self._identified(head, plan, address)
        if admitted is None or not parts.open_requests.take_if_free(limit_key(address)):
            return None
        return admitted

    def demands(self, admitted: Admitted) -> Sequence[Demand]:
        """Return what the request is counted as."""
        return demands_of(admitted.plan.route, admitted.address, admitted.token)

    def decide(self, admitted: Admitted, demands: Sequence[Demand]) -> Decision | None:
        """Charge the limits; None when somebody has to be asked."""
        return self._parts.limiter.decide_now(demands, admitted.token)

    async def ask(self, admitted: Admitted, demands: Sequence[Demand]) -> Decision | None:
        """Charge the limits where they are counted; None when the token is found to be dead."""
        try:
            return await self._parts.limiter.decide(demands, admitted.token)
        except Problem:
            return None

    def give_back(self, admitted: Admitted) -> None:
        """Give the place back."""
        self._parts.open_requests.give_back(limit_key(admitted.address))

    def _address(self, head: Head, peer: str) -> Address:
        forwarded = head.read.get(b"x-forwarded-for")
        return self._parts.addresses.find(peer, [forwarded.decode("latin-1")] if forwarded else ())

    def _is_for_us(self, host: bytes | None) -> bool:
        if host is None or not is_host(host):
            return False
        return not self._parts.hosts or host.decode("ascii").lower() in self._parts.hosts

    def _identified(self, head: Head, plan: Plan, address: Address) -> Admitted | None:
        given = head.read.get(b"authorization")
        authorization = (given.decode("latin-1"),) if given is not None else ()
        token = None
        if plan.route.access != "public":
            if not authorization:
                return None  # cookies, or nobody
            try:
                token = self._parts.authentication.token_at_once(plan.route, authorization)
            except Problem:
                return None
        traceparent = head.read.get(b"traceparent", b"").decode("latin-1")
        state = RequestState(request_id=urandom(16).hex(), trace=continue_trace(traceparent))
        return Admitted(head, plan, address, authorization, token, state)
