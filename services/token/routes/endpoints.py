"""Parse, one call of a use case, respond."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chassis.consumer import Consumer
from chassis.errors import FieldError, InvalidInput, MalformedBody
from chassis.http import JSON_TYPE, query, read_body, read_json, respond
from chassis.middleware import caller_of
from chassis.subscriptions import Unprocessable
from contracts.browser import DEVICE_HEADER, REFRESH_TOKEN_HEADER, SESSION_HEADER, SESSION_OVER
from contracts.envelope import CloudEvent, EnvelopeError
from contracts.internal import (
    JWKS_PATH,
    REVOCATIONS_PATH,
    SUBJECT_CHANGES_PATH,
    Revocation,
    RevocationPage,
)
from services.token.domain.keys import JWKS_MAX_AGE
from services.token.domain.revocations import Cursor
from services.token.errors import (
    EventNotAccepted,
)
from services.token.keys import KeyRing
from services.token.routes.browser import (
    handed_over,
    has_body,
    is_in_browser,
    proven_caller_of,
    refresh_token_of,
)
from services.token.routes.keys import key_routes
from services.token.routes.oauth import OAuthEndpoints, oauth_routes
from services.token.routes.revocation import revocation_routes
from services.token.routes.sessions import session_routes
from services.token.schemas import (
    AuthorizationServerMetadata,
    BrowserLoginRequest,
    BrowserLogoutRequest,
    LoginRequest,
    LoginResponse,
    LogoutRequest,
    RefreshRequest,
    RevocationsQuery,
    TokenResponse,
)
from services.token.service.administration import Administration
from services.token.service.global_revoking import GlobalRevoking
from services.token.service.key_administration import KeyAdministration
from services.token.service.login import Login
from services.token.service.refresh import Refresh
from services.token.service.revocations import Revocations
from services.token.service.sessions import Credentials, Sessions

METADATA_PATH = "/.well-known/oauth-authorization-server"

_LOGGED_OUT = {"status": "logged out"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """The use cases behind the URLs."""

    issuer: str
    login_: Login
    refresh_: Refresh
    sessions_: Sessions
    administration_: Administration
    revocations_: Revocations
    consumer: Consumer
    keys: KeyRing
    oauth: OAuthEndpoints
    key_administration: KeyAdministration
    global_revoking: GlobalRevoking
    jwks_max_age: timedelta = JWKS_MAX_AGE

    async def login(self, request: Request) -> Response:
        """POST /api/v1/auth/login."""
        in_browser, device = is_in_browser(request), request.headers.get(DEVICE_HEADER)
        body: BrowserLoginRequest | LoginRequest
        if in_browser:
            body = await read_json(request, BrowserLoginRequest)
        else:
            body = await read_json(request, LoginRequest)
            device = body.device_token or device
        logged_in = await self.login_.login(
            body.username, body.password, device, caller=caller_of(request)
        )
        if in_browser:
            return handed_over(logged_in.issued, logged_in.device_token)
        return respond(LoginResponse.of_login(logged_in))

    async def refresh(self, request: Request) -> Response:
        """POST /api/v1/auth/refresh."""
        in_browser = is_in_browser(request)
        if in_browser:
            presented = await refresh_token_of(request)
        else:
            presented = (await read_json(request, RefreshRequest)).refresh_token
        issued = await self.refresh_.refresh(
            presented, request.headers.get(DEVICE_HEADER), caller=caller_of(request)
        )
        return handed_over(issued) if in_browser else respond(TokenResponse.of(issued))

    async def logout(self, request: Request) -> Response:
        """POST /api/v1/auth/logout; the body may be left out."""
        if is_in_browser(request):
            return await self._log_browser_out(request)
        body = await read_json(request, LogoutRequest) if has_body(request) else LogoutRequest()
        credentials = Credentials(
            caller=caller_of(request),
            refresh_token=body.refresh_token,
            access_token=_bearer_of(request),
        )
        await self.sessions_.log_out(credentials, every_session=body.every_session)
        return respond(_LOGGED_OUT)

    async def jwks(self, request: Request) -> Response:
        """GET /.well-known/jwks.json, from memory (RFC 7517 §5)."""
        published = self.keys.jwks
        headers = {**self._cacheable, "ETag": published.etag}
        if published.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return Response(published.body, headers=headers, media_type=JSON_TYPE)

    async def metadata(self, _request: Request) -> Response:
        """GET /.well-known/oauth-authorization-server (RFC 8414 §3)."""
        return respond(AuthorizationServerMetadata.of(self.issuer), headers=self._cacheable)

    async def revocations(self, request: Request) -> Response:
        """GET /internal/v1/revocations, for gateways (D12)."""
        since = query(request, RevocationsQuery).since
        cursor = Cursor.parse(since) if since is not None else None
        if since is not None and cursor is None:
            raise InvalidInput(errors=[FieldError("/since", "invalid", "Not a cursor of ours.")])
        reading = await self.revocations_.read(cursor)
        page = RevocationPage(
            entries=tuple(
                Revocation(
                    kind=entry.kind,
                    value=entry.value,
                    below_version=entry.below_version,
                    revoked_until=entry.revoked_until,
                )
                for entry in reading.entries
            ),
            cursor=str(reading.cursor),
            complete=reading.complete,
            revoked_keys=reading.revoked_keys,
        )
        return respond(page)

    async def subject_changes(self, request: Request) -> Response:
        """POST /internal/v1/subject-changes: identity pushes an urgent event (D25)."""
        try:
            event = CloudEvent.from_json(await read_body(request))
            await self.consumer.accept(event)
        except EnvelopeError:
            raise MalformedBody("Not a CloudEvent.") from None
        except Unprocessable:
            raise EventNotAccepted from None
        return respond(status=HTTPStatus.NO_CONTENT)

    @property
    def _cacheable(self) -> Mapping[str, str]:
        return {"Cache-Control": f"public, max-age={int(self.jwks_max_age.total_seconds())}"}

    async def _log_browser_out(self, request: Request) -> Response:
        asked = BrowserLogoutRequest()
        if has_body(request):
            asked = await read_json(request, BrowserLogoutRequest)
        credentials = Credentials(
            caller=proven_caller_of(request),
            in_browser=True,
            refresh_token=request.headers.get(REFRESH_TOKEN_HEADER),
        )
        await self.sessions_.log_out(credentials, every_session=asked.every_session)
        return respond(_LOGGED_OUT, headers={SESSION_HEADER: SESSION_OVER})


def routes(endpoints: Endpoints) -> list[Route]:
    """Return the table of URLs."""
    return [
        Route("/api/v1/auth/login", endpoints.login, methods=["POST"]),
        Route("/api/v1/auth/refresh", endpoints.refresh, methods=["POST"]),
        Route("/api/v1/auth/logout", endpoints.logout, methods=["POST"]),
        *session_routes(endpoints.sessions_, endpoints.administration_),
        Route(JWKS_PATH, endpoints.jwks, methods=["GET"]),
        Route(METADATA_PATH, endpoints.metadata, methods=["GET"]),
        Route(REVOCATIONS_PATH, endpoints.revocations, methods=["GET"]),
        Route(SUBJECT_CHANGES_PATH, endpoints.subject_changes, methods=["POST"]),
        *oauth_routes(endpoints.oauth),
        *key_routes(endpoints.key_administration),
        *revocation_routes(endpoints.global_revoking),
    ]


def _bearer_of(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
