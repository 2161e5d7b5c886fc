"""Passwords: the rules, the forgotten, the changed."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chassis.http import read_json, respond
from chassis.middleware import caller_of
from services.identity.domain.mail_requests import RequestKind
from services.identity.domain.names import EmailAddress
from services.identity.routes.principals import principal_of
from services.identity.schemas import ChangeBody, EmailBody, ResetBody
from services.identity.service.use_cases import UseCases


def routes(service: UseCases) -> list[Route]:
    """Return the routes of passwords."""

    async def policy(_request: Request) -> Response:
        return respond(service.policy.published())

    async def forgot(request: Request) -> Response:
        body = await read_json(request, EmailBody)
        folded = EmailAddress.parse(body.email).folded
        caller = caller_of(request)
        await service.mail_requests.request(RequestKind.RESET, folded, caller=caller)
        return respond({"status": "accepted"})

    async def reset(request: Request) -> Response:
        body = await read_json(request, ResetBody)
        caller = caller_of(request)
        await service.password_reset.complete(body.token, body.new_password, caller=caller)
        return respond({"status": "password_reset"})

    async def change(request: Request) -> Response:
        principal = principal_of(request)
        body = await read_json(request, ChangeBody)
        await service.password_change.change(
            principal, body.current_password, body.new_password, caller=caller_of(request)
        )
        return respond({"status": "password_changed"})

    return [
        Route("/api/v1/auth/password-policy", policy, methods=["GET"]),
        Route("/api/v1/auth/password-reset", forgot, methods=["POST"]),
        Route("/api/v1/auth/password-reset/verify", reset, methods=["POST"]),
        Route("/api/v1/auth/password-change", change, methods=["POST"]),
    ]
