"""The shape every deployable has in memory: two ASGI apps, a lifespan, a health."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from chassis.assertions import AssertionVerifier
from chassis.errors import BadRequest, MethodNotAllowed, NotFound, Problem
from chassis.health import Health, ops_app
from chassis.http import problem_response
from chassis.metrics import Metrics
from chassis.middleware import AssertionMiddleware, RequestMiddleware, state_of
from chassis.settings import ProcessSettings

Lifespan = Callable[[], AbstractAsyncContextManager[None]]
Reload = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """A port on which an app is served; *protocol* is uvicorn's HTTP protocol there."""

    name: str
    app: ASGIApp
    port: int
    protocol: type[asyncio.Protocol] | Literal["httptools"] = "httptools"


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
    protocol: type[asyncio.Protocol] | Literal["httptools"] = "httptools"
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
    routes: Sequence[BaseRoute],
    metrics: Metrics,
    verifier: AssertionVerifier,
    internal: Mapping[str, frozenset[str]],
) -> ASGIApp:
    """Build the HTTP app of a service: its routes behind assertion, boundary and access log."""
    app = Starlette(routes=routes, exception_handlers=_HANDLERS)
    app.router.redirect_slashes = False
    guarded = AssertionMiddleware(app, verifier=verifier, internal=internal)
    return RequestMiddleware(guarded, metrics=metrics, trust_request_id=True)


def _http(request: Request, error: Exception) -> Response:
    """Turn Starlette's own refusals into problems."""
    status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.BAD_REQUEST
    headers = getattr(error, "headers", None)
    kinds: dict[int, type[Problem]] = {404: NotFound, 405: MethodNotAllowed}
    return _problem(request, kinds.get(status, BadRequest)(headers=headers))


def _problem(request: Request, error: Exception) -> Response:
    problem = error if isinstance(error, Problem) else Problem()
    state = state_of(request.scope)
    state.problem_code = problem.code
    return problem_response(problem, request_id=state.request_id)


_HANDLERS: dict[Any, Any] = {HTTPException: _http, Problem: _problem, Exception: _problem}
