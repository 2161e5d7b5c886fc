"""Administration: the accounts of others, for administrators and moderators."""

from http import HTTPStatus
from typing import Protocol
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chassis.caller import Caller, Principal
from chassis.http import query, read_json, respond
from chassis.middleware import caller_of
from chassis.paging import PageQuery
from services.identity.domain.accounts import User
from services.identity.errors import UnknownUser
from services.identity.routes.principals import principal_of
from services.identity.schemas import (
    AccountPage,
    AccountView,
    EditBody,
    FailurePage,
    RolesBody,
    UsersQuery,
)
from services.identity.service.use_cases import UseCases

_USERS = "/api/v1/admin/users"
_USER = f"{_USERS}/{{user_id}}"


def routes(service: UseCases) -> list[Route]:
    """Return the routes of administration."""
    use_case, clock = service.administration, service.clock

    async def list_users(request: Request) -> Response:
        principal = principal_of(request)
        asked = query(request, UsersQuery)
        page = await use_case.list_users(
            principal, search=asked.q, role=asked.role, limit=asked.limit, after=asked.position
        )
        return respond(AccountPage.of(page, clock.now()))

    async def show(request: Request) -> Response:
        user = await use_case.get(principal_of(request), _user_id(request))
        return respond(AccountView.at(user, clock.now()))

    async def list_failures(request: Request) -> Response:
        principal = principal_of(request)
        asked = query(request, PageQuery)
        page = await use_case.list_failures(
            principal, _user_id(request), limit=asked.limit, before=asked.position
        )
        return respond(FailurePage.of(page))

    async def set_roles(request: Request) -> Response:
        principal = principal_of(request)
        body = await read_json(request, RolesBody)
        user = await use_case.set_roles(
            principal, _user_id(request), body.roles, caller=caller_of(request)
        )
        return respond(AccountView.at(user, clock.now()))

    async def edit(request: Request) -> Response:
        principal = principal_of(request)
        body = await read_json(request, EditBody)
        user = await service.editing.edit(
            principal, _user_id(request), body.edits, caller=caller_of(request)
        )
        return respond(AccountView.at(user, clock.now()))

    async def delete(request: Request) -> Response:
        principal = principal_of(request)
        await use_case.delete(principal, _user_id(request), caller=caller_of(request))
        return respond(None, HTTPStatus.NO_CONTENT)

    def action(name: str, act: _Action) -> Route:
        async def perform(request: Request) -> Response:
            principal = principal_of(request)
            user = await act(principal, _user_id(request), caller=caller_of(request))
            return respond(AccountView.at(user, clock.now()))

        return Route(f"{_USER}/{name}", perform, methods=["POST"], name=name)

    return [
        Route(_USERS, list_users, methods=["GET"]),
        Route(_USER, show, methods=["GET"]),
        Route(_USER, edit, methods=["PATCH"]),
        Route(_USER, delete, methods=["DELETE"]),
        Route(f"{_USER}/failed-logins", list_failures, methods=["GET"]),
        Route(f"{_USER}/roles", set_roles, methods=["PUT"]),
        action("lock", use_case.lock),
        action("unlock", use_case.unlock),
        action("disable", use_case.disable),
        action("enable", use_case.enable),
        action("force-password-reset", use_case.force_password_reset),
    ]


class _Action(Protocol):
    """What an action on one account looks like."""

    async def __call__(self, principal: Principal, user_id: UUID, *, caller: Caller) -> User: ...


def _user_id(request: Request) -> UUID:
    try:
        return UUID(request.path_params["user_id"])
    except ValueError:
        raise UnknownUser from None
