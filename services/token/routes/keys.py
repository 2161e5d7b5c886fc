"""Signing keys over HTTP, for administrators."""

from dataclasses import dataclass
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chassis.http import read_json, respond
from chassis.jwt.keys import KID
from chassis.middleware import caller_of
from services.token.errors import SigningKeyNotFound
from services.token.routes.browser import has_body
from services.token.routes.callers import principal_of
from services.token.schemas.keys import (
    KeyRevocationRequest,
    KeyRotationRequest,
    KeyRotationResponse,
    RevokedKeyView,
    SigningKeysResponse,
)
from services.token.service.key_administration import KeyAdministration

_KEYS = "/api/v1/admin/keys"


def key_routes(keys: KeyAdministration) -> list[Route]:
    """Return the routes of signing keys."""
    endpoints = _Endpoints(keys)
    return [
        Route(_KEYS, endpoints.list_keys, methods=["GET"]),
        Route(f"{_KEYS}/rotate", endpoints.rotate, methods=["POST"]),
        Route(f"{_KEYS}/{{id}}/revoke", endpoints.revoke, methods=["POST"]),
    ]


@dataclass(frozen=True, slots=True)
class _Endpoints:
    keys: KeyAdministration

    async def list_keys(self, request: Request) -> Response:
        overview = await self.keys.overview(principal_of(request))
        return respond(SigningKeysResponse.of(overview))

    async def rotate(self, request: Request) -> Response:
        principal = principal_of(request)
        if has_body(request):
            await read_json(request, KeyRotationRequest)
        wanted = await self.keys.rotate(principal, caller=caller_of(request))
        return respond(KeyRotationResponse.of(wanted), HTTPStatus.ACCEPTED)

    async def revoke(self, request: Request) -> Response:
        principal = principal_of(request)
        asked = await read_json(request, KeyRevocationRequest)
        kid = _kid_of(request)
        revoked = await self.keys.revoke(kid, asked.reason, principal, caller=caller_of(request))
        return respond(RevokedKeyView.of(revoked))


def _kid_of(request: Request) -> str:
    kid: str = request.path_params["id"]
    if not KID.fullmatch(kid):
        raise SigningKeyNotFound
    return kid
