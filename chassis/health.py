"""Liveness and readiness: the first never looks at a dependency, the second at what it needs."""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from chassis.http import respond
from chassis.logs import get_logger
from chassis.metrics import Metrics

_CHECK_SECONDS = 2.0

Check = Callable[[], Awaitable[None]]
log = get_logger(__name__)


class Health:
    """What a process needs to be ready, and whether it is draining (D22, D23)."""

    def __init__(self) -> None:
        self.started = False
        self.draining = False
        self._checks: dict[str, Check] = {}

    def add_check(self, name: str, check: Check) -> None:
        """Let readiness depend on *check*, which raises when its part is away."""
        self._checks[name] = check

    async def failing(self) -> list[str]:
        """Return the names of what is missing now; empty means ready."""
        if self.draining:
            return ["draining"]
        if not self.started:
            return ["starting"]
        names = list(self._checks)
        good = await asyncio.gather(*(self._holds(name) for name in names))
        return [name for name, holds in zip(names, good, strict=True) if not holds]

    async def _holds(self, name: str) -> bool:
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                await self._checks[name]()
        except Exception as error:  # noqa: BLE001 - whatever a check raises means "not ready"
            log.warning("readiness.failed", check=name, error=type(error).__name__)
            return False
        return True


def ops_app(health: Health, metrics: Metrics) -> ASGIApp:
    """Build the app of the ops port: `/health/live`, `/health/ready`, `/metrics`."""

    async def live(_request: Request) -> Response:
        return respond({"status": "live"})

    async def ready(_request: Request) -> Response:
        failing = await health.failing()
        status = HTTPStatus.SERVICE_UNAVAILABLE if failing else HTTPStatus.OK
        return respond({"status": "not ready" if failing else "ready", "failing": failing}, status)

    async def exposition(_request: Request) -> Response:
        body, content_type = metrics.exposition()
        return Response(body, headers={"Content-Type": content_type})

    return Starlette(
        routes=[
            Route("/health/live", live),
            Route("/health/ready", ready),
            Route("/metrics", exposition),
        ]
    )
