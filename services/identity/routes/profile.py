"""The profile: see and change one's own account."""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chassis.http import query, read_json, respond
from chassis.middleware import caller_of
from chassis.paging import PageQuery
from services.identity.domain.names import EmailAddress, Username
from services.identity.routes.principals import principal_of
from services.identity.schemas import (
    EmailChangeBody,
    LoginPage,
    PasswordBody,
    ProfileBody,
    ProfileView,
    TokenBody,
)
from services.identity.service.use_cases import UseCases


def routes(service: UseCases) -> list[Route]:
    """Return the routes of the own account."""

    async def me(request: Request) -> Response:
        return respond(ProfileView.of(await service.profile.get(principal_of(request))))

    async def change_me(request: Request) -> Response:
        principal = principal_of(request)
        body = await read_json(request, ProfileBody)
        name = Username.parse(body.username)
        user = await service.profile.rename(principal, name, caller=caller_of(request))
        return respond(ProfileView.of(user))

    async def change_email(request: Request) -> Response:
        principal = principal_of(request)
        body = await read_json(request, EmailChangeBody)
        email = EmailAddress.parse(body.email)
        await service.email_changes.request(
            principal, email, body.current_password, caller=caller_of(request)
        )
        return respond({"status": "accepted"}, HTTPStatus.ACCEPTED)

    async def revert_email(request: Request) -> Response:
        body = await read_json(request, TokenBody)
        await service.email_revert.revert(body.token, caller=caller_of(request))
        return respond({"status": "reverted"})

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
        Route("/api/v1/users/me", me, methods=["GET"]),
        Route("/api/v1/users/me", change_me, methods=["PATCH"]),
        Route("/api/v1/users/me", delete_me, methods=["DELETE"]),
        Route("/api/v1/users/me/email", change_email, methods=["POST"]),
        Route("/api/v1/users/me/email/revert", revert_email, methods=["POST"]),
        Route("/api/v1/users/me/login-history", logins, methods=["GET"]),
    ]
