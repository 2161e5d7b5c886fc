"""A stand-in for identity that hashes nothing: token's two questions are answered at once.

    python -m bench.identity_at_once [serve|migrate]

A username is the id of the user it names, and any password is right. Assertions are verified as
identity verifies them.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import services.identity
from chassis.app import Deployable, service_app
from chassis.assertions import AssertionVerifier
from chassis.clock import SystemClock
from chassis.entrypoint import main
from chassis.health import Health
from chassis.http import JSON_TYPE
from chassis.metrics import Metrics
from contracts.internal import (
    AUTHENTICATE_PATH,
    SUBJECT_PATH,
    AuthenticateRequest,
    AuthenticateResponse,
    Subject,
)
from services.identity.settings import IdentitySettings

MODULES = {"identity": "bench.identity_at_once"}
"""What FiveProcesses runs to have this stand-in."""

ROLES = ("user",)
VERSION = 1

_CLOCK = SystemClock()
_DEVICE = "bench"


def build(settings: IdentitySettings) -> Deployable:
    """Build the stand-in."""
    metrics = Metrics()
    return Deployable(
        name="identity",
        settings=settings,
        http=service_app(
            routes=[
                Route(AUTHENTICATE_PATH, _authenticate, methods=["POST"]),
                Route(SUBJECT_PATH, _subject, methods=["GET"]),
            ],
            metrics=metrics,
            verifier=AssertionVerifier(
                audience="identity",
                secrets={"token": settings.assertion_secrets_from_token},
                clock=_CLOCK,
            ),
            internal={"/internal/v1/": frozenset({"token"})},
        ),
        lifespan=_running,
        health=Health(),
        metrics=metrics,
    )


async def _authenticate(request: Request) -> Response:
    asked = AuthenticateRequest.model_validate_json(await request.body())
    answer = AuthenticateResponse(
        user_id=UUID(asked.username),
        roles=ROLES,
        status="active",
        version=VERSION,
        amr=("pwd",),
        authenticated_at=_CLOCK.now(),
        device_token=asked.device_token or _DEVICE,
    )
    return Response(answer.model_dump_json(), media_type=JSON_TYPE)


async def _subject(request: Request) -> Response:
    user_id = UUID(request.path_params["user_id"])
    answer = Subject(user_id=user_id, roles=ROLES, status="active", version=VERSION)
    return Response(answer.model_dump_json(), media_type=JSON_TYPE)


@asynccontextmanager
async def _running() -> AsyncIterator[None]:
    yield


if __name__ == "__main__":
    main(
        MODULES["identity"],
        IdentitySettings,
        build,
        Path(services.identity.__file__).parent,
    )
