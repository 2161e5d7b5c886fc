"""One judged request, as the proxy gets it."""

from dataclasses import dataclass

from chassis.caller import Principal
from chassis.middleware import RequestState
from chassis.networks import Address
from gateway.framing import Framing
from gateway.routing.table import Route, Upstream


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbound:
    """A request that may pass: what it is, whose it is, where it goes.

    `target` is the authorised path with its query, byte for byte; `headers` are raw.
    """

    method: str
    target: str
    headers: list[tuple[bytes, bytes]]
    framing: Framing
    route: Route
    upstream: Upstream
    principal: Principal | None
    address: Address
    state: RequestState
