"""The shape every deployable has in memory: two ASGI apps, a lifespan, a health."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from starlette.routing import Route
from starlette.types import ASGIApp

from chassis.assertions import AssertionVerifier
from chassis.cycle import WholeProtocol
from chassis.health import Health, ops_app
from chassis.metrics import Metrics
from chassis.middleware import AssertionMiddleware, RequestMiddleware
from chassis.routing import Routing
from chassis.settings import ProcessSettings

Lifespan = Callable[[], AbstractAsyncContextManager[None]]
Reload = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """A port on which an app is served; *protocol* is uvicorn's HTTP protocol there."""

    name: str
    app: ASGIApp
    port: int
    protocol: type[asyncio.Protocol] = WholeProtocol


@dataclass(kw_only=True)
class Deployable:
    """One service or the gateway, ready to be served by `chassis.server`.

    `lifespan` opens what the app needs and closes it again; it is entered before the first
    request and left after the last. `protocol` is uvicorn's HTTP protocol for the public port.
    `reload` is called on SIGHUP, by those who have something to read again. `doors` are further
    ports beside the public one and that of the operators, on the same host as the former.
    """

    name: str
    settings: ProcessSettings
    http: ASGIApp
    lifespan: Lifespan
    health: Health
    metrics: Metrics
    protocol: type[asyncio.Protocol] = WholeProtocol
    reload: Reload | None = None
    doors: Sequence[Door] = ()
    ops: ASGIApp = field(init=False)

    def __post_init__(self) -> None:
        self.ops = ops_app(self.health, self.metrics)

    @property
    def all_doors(self) -> Sequence[Door]:
        """Return the public port, then the others."""
        public = Door(name="http", app=self.http, port=self.settings.port, protocol=self.protocol)
        return (public, *self.doors)


def service_app(
    *,
    routes: Sequence[Route],
    metrics: Metrics,
    verifier: AssertionVerifier,
    internal: Mapping[str, frozenset[str]],
) -> ASGIApp:
    """Build the HTTP app of a service: its routes behind assertion, boundary and access log."""
    guarded = AssertionMiddleware(Routing(routes), verifier=verifier, internal=internal)
    return RequestMiddleware(guarded, metrics=metrics, trust_request_id=True)
