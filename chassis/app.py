"""The shape every deployable has in memory: two ASGI apps, a lifespan, a health."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Literal

from starlette.routing import Route
from starlette.types import ASGIApp

from chassis.assertions import AssertionVerifier
from chassis.health import Health, ops_app
from chassis.metrics import Metrics
from chassis.middleware import AssertionMiddleware, RequestMiddleware
from chassis.routing import Routing
from chassis.settings import ProcessSettings

Lifespan = Callable[[], AbstractAsyncContextManager[None]]
Reload = Callable[[], Awaitable[None]]


@dataclass(kw_only=True)
class Deployable:
    """One service or the gateway, ready to be served by `chassis.server`.

    `lifespan` opens what the app needs and closes it again; it is entered before the first
    request and left after the last. `protocol` is uvicorn's HTTP protocol for the public port.
    `reload` is called on SIGHUP, by those who have something to read again.
    """

    name: str
    settings: ProcessSettings
    http: ASGIApp
    lifespan: Lifespan
    health: Health
    metrics: Metrics
    protocol: type[asyncio.Protocol] | Literal["httptools"] = "httptools"
    reload: Reload | None = None
    ops: ASGIApp = field(init=False)

    def __post_init__(self) -> None:
        self.ops = ops_app(self.health, self.metrics)


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
