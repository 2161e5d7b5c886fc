"""Introspection and revocation for confidential clients (RFC 7662, RFC 7009)."""

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chassis.http import respond
from chassis.middleware import caller_of
from services.token.domain.clients import Client
from services.token.errors import InvalidRequest
from services.token.routes.forms import credentials_of, read_form
from services.token.schemas import INTROSPECTION_PATH, REVOCATION_PATH, IntrospectionResponse
from services.token.service.clients import ClientAuthentication
from services.token.service.introspection import Introspection
from services.token.service.revoking import Revoking


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthEndpoints:
    """The use cases behind the URLs of OAuth; *issuer* and *audience* are those of every token."""

    issuer: str
    audience: str
    clients: ClientAuthentication
    introspection: Introspection
    revoking: Revoking

    async def introspect(self, request: Request) -> Response:
        """POST /oauth2/introspect. A token tells its kind, so the hint is not needed."""
        client, form = await self._authenticate(request)
        active = await self.introspection.introspect(_token_of(form), client)
        answer = IntrospectionResponse.of(active, issuer=self.issuer, audience=self.audience)
        return respond(answer.model_dump(mode="json", exclude_none=True))

    async def revoke(self, request: Request) -> Response:
        """POST /oauth2/revoke."""
        client, form = await self._authenticate(request)
        await self.revoking.revoke(_token_of(form), client, caller=caller_of(request))
        return respond()

    async def _authenticate(self, request: Request) -> tuple[Client, Mapping[str, str]]:
        form = await read_form(request)
        credentials = credentials_of(request, form)
        return await self.clients.authenticate(credentials, caller=caller_of(request)), form


def oauth_routes(endpoints: OAuthEndpoints) -> list[Route]:
    """Return the URLs of OAuth."""
    return [
        Route(INTROSPECTION_PATH, endpoints.introspect, methods=["POST"]),
        Route(REVOCATION_PATH, endpoints.revoke, methods=["POST"]),
    ]


def _token_of(form: Mapping[str, str]) -> str:
    token = form.get("token")
    if token is None:
        raise InvalidRequest("The parameter token is missing.")
    return token
