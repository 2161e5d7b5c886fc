"""Accounts: register, prove the address, see and change one's own."""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chassis.http import query, read_json, respond
from chassis.middleware import caller_of
from services.identity.domain.mail_requests import RequestKind
from services.identity.domain.names import EmailAddress, Username
from services.identity.routes.principals import principal_of
from services.identity.schemas import (
    EmailBody,
    LoginPage,
    PageQuery,
    PasswordBody,
    ProfileBody,
    ProfileView,
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

    async def me(request: Request) -> Response:
        return respond(ProfileView.of(await service.profile.get(principal_of(request))))

    async def change_me(request: Request) -> Response:
        principal = principal_of(request)
        body = await read_json(request, ProfileBody)
        name = Username.parse(body.username)
        user = await service.profile.rename(principal, name, caller=caller_of(request))
        return respond(ProfileView.of(user))

    async def delete_me(request: Request) -> Response:
        principal = principal_of(request)
        body = await read_json(request, PasswordBody)
        await service.profile.delete(principal, body.password, caller=caller_of(request))
        return respond(None, HTTPStatus.NO_CONTENT)

    async def logins(request: Request) -> Response:
        principal = principal_of(request)
        page = query(request, PageQuery)
        found = await service.profile.list_logins(principal, limit=page.limit, before=page.position)
        return respond(LoginPage.of(found))

    return [
        Route("/api/v1/auth/register", register, methods=["POST"]),
        Route("/api/v1/auth/email/verify", verify, methods=["POST"]),
        Route("/api/v1/auth/email/resend-verification", resend, methods=["POST"]),
        Route("/api/v1/users/me", me, methods=["GET"]),
        Route("/api/v1/users/me", change_me, methods=["PATCH"]),
        Route("/api/v1/users/me", delete_me, methods=["DELETE"]),
        Route("/api/v1/users/me/login-history", logins, methods=["GET"]),
    ]
