"""Accounts: register, and prove the address."""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chassis.http import read_json, respond
from chassis.middleware import caller_of
from services.identity.domain.mail_requests import RequestKind
from services.identity.domain.names import EmailAddress, Username
from services.identity.schemas import (
    EmailBody,
    RegisterBody,
    Registered,
    TokenBody,
)
from services.identity.service.use_cases import UseCases


def routes(service: UseCases) -> list[Route]:
    """Return the routes of accounts."""

    async def register(request: Request) -> Response:
        body = await read_json(request, RegisterBody)
        user = await service.registration.register(
            EmailAddress.parse(body.email),
            Username.parse(body.username),
            body.password,
            caller=caller_of(request),
        )
        if user is None or service.registration.is_private:
            return respond({"status": "accepted"}, HTTPStatus.ACCEPTED)
        return respond(Registered.of(user), HTTPStatus.CREATED)

    async def verify(request: Request) -> Response:
        body = await read_json(request, TokenBody)
        await service.verification.verify(body.token, caller=caller_of(request))
        return respond({"status": "verified"})

    async def resend(request: Request) -> Response:
        body = await read_json(request, EmailBody)
        folded = EmailAddress.parse(body.email).folded
        caller = caller_of(request)
        await service.mail_requests.request(RequestKind.VERIFICATION, folded, caller=caller)
        return respond({"status": "accepted"})

    return [
        Route("/api/v1/auth/register", register, methods=["POST"]),
        Route("/api/v1/auth/email/verify", verify, methods=["POST"]),
        Route("/api/v1/auth/email/resend-verification", resend, methods=["POST"]),
    ]
