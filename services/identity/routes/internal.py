"""Internal calls: only token may ask (the assertion middleware holds the door)."""

from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chassis.http import read_json, respond
from chassis.middleware import caller_of
from contracts.internal import AUTHENTICATE_PATH, SUBJECT_PATH, AuthenticateRequest
from services.identity.errors import UnknownUser
from services.identity.service.use_cases import UseCases


def routes(service: UseCases) -> list[Route]:
    """Return the routes of internal calls."""

    async def authenticate(request: Request) -> Response:
        body = await read_json(request, AuthenticateRequest)
        caller = caller_of(request)
        return respond(await service.authentication.authenticate(body, caller=caller))

    async def subject(request: Request) -> Response:
        return respond(await service.subjects.get(_user_id(request)))

    return [
        Route(AUTHENTICATE_PATH, authenticate, methods=["POST"]),
        Route(SUBJECT_PATH, subject, methods=["GET"]),
    ]


def _user_id(request: Request) -> UUID:
    try:
        return UUID(request.path_params["user_id"])
    except ValueError:
        raise UnknownUser from None
