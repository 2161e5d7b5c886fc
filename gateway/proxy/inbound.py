"""One judged request, as the proxy gets it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from starlette.types import Receive, Send

from chassis.caller import Principal
from chassis.errors import PayloadTooLarge
from chassis.jwt import AccessToken
from chassis.middleware import RequestState
from chassis.networks import Address
from gateway.framing import Framing
from gateway.proxy.begun import Begun
from gateway.routing.table import Route, Upstream
from gateway.websocket.client import ClientSide


@dataclass(slots=True, kw_only=True)  # not frozen: each field of each request would cost a call
class Inbound:
    """A request that may pass: what it is, whose it is, where it goes.

    `target` is the authorised path with its query, byte for byte; `headers` are raw. `told` is
    what the upstream learns of the cookies, `proven_sid` the session of the CSRF token.
    `websocket` is the client's end of the WebSocket connection that it asks for, where it may;
    `begun` is what the fast path has done of the exchange.
    """

    method: str
    target: str
    headers: list[tuple[bytes, bytes]]
    framing: Framing
    route: Route
    upstream: Upstream
    token: AccessToken | None = field(repr=False)
    address: Address
    state: RequestState
    in_browser: bool = False
    told: Mapping[str, str] = field(default_factory=dict, repr=False)
    proven_sid: UUID | None = None
    websocket: ClientSide | None = None
    begun: Begun | None = None

    @property
    def principal(self) -> Principal | None:
        """Return who calls, or None for nobody."""
        return self.token.principal if self.token else None

    def check_length(self) -> None:
        """Look at the announced length of the body. Raises PayloadTooLarge."""
        if (self.framing.content_length or 0) > self.route.body_limit:
            raise PayloadTooLarge(headers={"Connection": "close"})  # it would still come


class Forwarder(Protocol):
    """Where a judged request goes: to its upstream, or only to whoever asks what would happen."""

    async def forward(self, request: Inbound, receive: Receive, send: Send) -> None:
        """Pass *request* on and its answer back."""
        ...
