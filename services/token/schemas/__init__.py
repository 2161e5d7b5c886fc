"""The bodies of token's endpoints."""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field

from chassis.http import QueryModel, RequestModel, ResponseModel
from chassis.paging import Page
from contracts.internal import JWKS_PATH
from services.token.domain.clients import TokenKind
from services.token.domain.sessions import Session
from services.token.service.introspection import ActiveToken
from services.token.service.issuing import Issued
from services.token.service.login import LoggedIn

INTROSPECTION_PATH = "/oauth2/introspect"
REVOCATION_PATH = "/oauth2/revoke"

_DEVICE_TOKEN_LENGTH = 1024
_CLIENT_METHODS = ("client_secret_basic", "client_secret_post")


class BrowserLoginRequest(RequestModel):
    """Credentials; `username` takes a username or an e-mail address."""

    username: Annotated[str, Field(min_length=1, max_length=320)]
    password: Annotated[str, Field(min_length=1, max_length=1024, repr=False)]


class LoginRequest(BrowserLoginRequest):
    """Credentials, and what makes the device known; in browser mode a cookie holds that."""

    device_token: Annotated[str | None, Field(max_length=_DEVICE_TOKEN_LENGTH, repr=False)] = None


class RefreshRequest(RequestModel):
    """A refresh token to be exchanged; any text that is none gets the same refusal."""

    refresh_token: Annotated[str, Field(repr=False)]


class BrowserRefreshRequest(RequestModel):
    """Nothing: in browser mode the refresh token is in its cookie and nowhere else."""


class BrowserLogoutRequest(RequestModel):
    """Which session ends: the one of the cookies, or `all` of the user."""

    every_session: Annotated[bool, Field(alias="all")] = False


class LogoutRequest(BrowserLogoutRequest):
    """Which session ends: that of `refresh_token` or of the access token, or `all` of the user."""

    refresh_token: Annotated[str | None, Field(repr=False)] = None


class RevocationsQuery(QueryModel):
    """From where on entries are wanted."""

    since: Annotated[str | None, Field(max_length=64)] = None


class TokenResponse(ResponseModel):
    """A pair of tokens; lives are in seconds (RFC 6749 §5.1)."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"
    expires_in: int
    refresh_token: str
    refresh_expires_in: int
    session_id: UUID

    @classmethod
    def of(cls, issued: Issued) -> Self:
        """Render what a refresh gave."""
        return cls(
            access_token=issued.access_token,
            expires_in=issued.expires_in,
            refresh_token=issued.refresh_token,
            refresh_expires_in=issued.refresh_expires_in,
            session_id=issued.session_id,
        )


class LoginResponse(TokenResponse):
    """The tokens of a new session, and what makes this device known at the next login."""

    device_token: str | None

    @classmethod
    def of_login(cls, login: LoggedIn) -> Self:
        """Render what a login gave."""
        tokens = TokenResponse.of(login.issued)
        return cls(**tokens.model_dump(), device_token=login.device_token)


class BrowserSessionResponse(ResponseModel):
    """A session whose tokens went into cookies; `expires_in` is in seconds."""

    expires_in: int
    session_id: UUID

    @classmethod
    def of(cls, issued: Issued) -> Self:
        """Render what a login or a refresh gave."""
        return cls(expires_in=issued.expires_in, session_id=issued.session_id)


class SessionBody(ResponseModel):
    """One session as its user sees it; `current` is the one that asks."""

    id: UUID
    device: str | None
    ip: str | None
    user_agent: str | None
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    current: bool

    @classmethod
    def of(cls, session: Session, *, current: UUID) -> Self:
        """Render a session."""
        return cls(
            id=session.id,
            device=session.device,
            ip=session.client_address,
            user_agent=session.user_agent,
            created_at=session.created_at,
            last_used_at=session.last_used_at,
            expires_at=session.expires_at,
            current=session.id == current,
        )


class SessionsResponse(ResponseModel):
    """Some live sessions of a user, the newest first; `next_cursor` leads to those behind them."""

    sessions: list[SessionBody]
    next_cursor: str | None

    @classmethod
    def of(cls, page: Page[Session], *, current: UUID) -> Self:
        """Render *page*."""
        bodies = [SessionBody.of(session, current=current) for session in page.items]
        return cls(sessions=bodies, next_cursor=page.next_cursor)


class IntrospectionResponse(ResponseModel):
    """What a token is (RFC 7662 §2.2); of one that does not count `active` alone is told.

    Times are in seconds since 1970. `sid`, `roles`, `auth_time`, `amr` and `token_use` are ours;
    refresh tokens have no `token_type`, for they open no resource.
    """

    active: bool
    token_use: TokenKind | None = None
    token_type: Literal["Bearer"] | None = None
    scope: str | None = None
    exp: int | None = None
    iat: int | None = None
    sub: UUID | None = None
    sid: UUID | None = None
    aud: str | None = None
    iss: str | None = None
    jti: str | None = None
    roles: list[str] | None = None
    auth_time: int | None = None
    amr: list[str] | None = None

    @classmethod
    def of(cls, token: ActiveToken | None, *, issuer: str, audience: str) -> Self:
        """Render what introspection found."""
        if token is None:
            return cls(active=False)
        told = cls(
            active=True,
            token_use=token.kind,
            scope=token.scope or None,
            exp=int(token.expires_at.timestamp()),
            sub=token.user_id,
            sid=token.session_id,
            aud=audience,
            iss=issuer,
        )
        if token.access is None:
            return told
        claims = {
            "token_type": "Bearer",
            "iat": int(token.access.iat.timestamp()),
            "jti": token.access.jti,
            "roles": sorted(token.access.roles),
            "auth_time": int(token.access.auth_time.timestamp()),
            "amr": list(token.access.amr),
        }
        return told.model_copy(update=claims)


class AuthorizationServerMetadata(ResponseModel):
    """What a client may know of this issuer (RFC 8414 §2): no grant of OAuth is offered."""

    issuer: str
    jwks_uri: str
    response_types_supported: tuple[str, ...] = ()
    grant_types_supported: tuple[str, ...] = ()
    introspection_endpoint: str
    introspection_endpoint_auth_methods_supported: tuple[str, ...] = _CLIENT_METHODS
    revocation_endpoint: str
    revocation_endpoint_auth_methods_supported: tuple[str, ...] = _CLIENT_METHODS

    @classmethod
    def of(cls, issuer: str) -> Self:
        """Describe the endpoints below *issuer*."""
        base = issuer.rstrip("/")
        return cls(
            issuer=issuer,
            jwks_uri=base + JWKS_PATH,
            introspection_endpoint=base + INTROSPECTION_PATH,
            revocation_endpoint=base + REVOCATION_PATH,
        )
