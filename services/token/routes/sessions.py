"""Sessions over HTTP: the own ones, and those of others for who may end them."""

from dataclasses import dataclass
from http import HTTPStatus
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chassis.errors import NotFound
from chassis.http import query, respond
from chassis.middleware import caller_of
from chassis.paging import PageQuery
from services.token.errors import ForeignSession, UnknownUser
from services.token.routes.callers import principal_of
from services.token.schemas import SessionsResponse
from services.token.service.administration import Administration
from services.token.service.sessions import Sessions

_OWN = "/api/v1/sessions"


def session_routes(sessions: Sessions, administration: Administration) -> list[Route]:
    """Return the routes of sessions."""
    endpoints = _Endpoints(sessions, administration)
    return [
        Route(_OWN, endpoints.list_own, methods=["GET"]),
        Route(_OWN, endpoints.end_others, methods=["DELETE"]),
        Route(f"{_OWN}/{{id}}", endpoints.end_one, methods=["DELETE"]),
        Route("/api/v1/admin/users/{id}/sessions", endpoints.end_all_of, methods=["DELETE"]),
    ]


@dataclass(frozen=True, slots=True)
class _Endpoints:
    sessions: Sessions
    administration: Administration

    async def list_own(self, request: Request) -> Response:
        principal = principal_of(request)
        page = query(request, PageQuery)
        own = await self.sessions.list_own(principal, limit=page.limit, before=page.position)
        return respond(SessionsResponse.of(own, current=principal.session_id))

    async def end_one(self, request: Request) -> Response:
        principal = principal_of(request)
        session_id = _uuid_or(ForeignSession, request.path_params["id"])
        await self.sessions.end_one(session_id, principal, caller=caller_of(request))
        return respond(status=HTTPStatus.NO_CONTENT)

    async def end_others(self, request: Request) -> Response:
        await self.sessions.end_others(principal_of(request), caller=caller_of(request))
        return respond(status=HTTPStatus.NO_CONTENT)

    async def end_all_of(self, request: Request) -> Response:
        principal = principal_of(request)
        user_id = _uuid_or(UnknownUser, request.path_params["id"])
        await self.administration.end_sessions(user_id, principal, caller=caller_of(request))
        return respond(status=HTTPStatus.NO_CONTENT)


def _uuid_or(missing: type[NotFound], text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise missing from None
