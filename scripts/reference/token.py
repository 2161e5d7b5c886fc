"""The operations token answers: sessions, tokens, keys."""

from chassis.internal import DependencyUnavailable
from chassis.jwt import InvalidToken
from chassis.paging import PageQuery
from gateway import errors as gateway_errors
from scripts.reference.keys import KEYS
from scripts.reference.operation import FORM, Answer, Operation
from scripts.reference.shapes import CsrfToken, JsonWebKeySet, Outcome, TokenForm
from services.identity import errors as identity_errors
from services.token import errors, schemas
from services.token.schemas.revocation import GlobalRevocationRequest, GlobalRevocationResponse

_LOGIN_TEXT = """`username` takes a username or an e-mail address. A new login ends the oldest
sessions beyond `MAX_SESSIONS_PER_USER`. Keep `device_token` and send it with the next login: a
known device passes a lock that strangers caused. `password_change_required` carries
`reset_token` and `reset_expires_in` (seconds) for `POST /api/v1/auth/password-reset/verify`.
With `Gatehouse-Mode: browser` the answer is `expires_in` and `session_id` alone, and sets the
cookies `__Host-gatehouse-access`, `-refresh`, `-csrf` and `-device`; it must come from a page of
the same origin, or of one in `CORS_ALLOWED_ORIGINS`. `device_token` in the body is refused
then."""

_REFRESH_TEXT = """Every use gives a new refresh token and spends the old one. The same client
may repeat a request whose answer was lost for `REFRESH_GRACE_SECONDS`; any other use of a spent
token ends the session. In browser mode there is no body: the cookies are read and set anew, or
taken back with 401. One session may be refreshed `RATE_LIMIT_PER_USER` (10/minute) times: beyond
that 429, and the token is as good as before."""

_LOGOUT_TEXT = """By access token, refresh token, or both. What has ended already is no error. In
browser mode by the cookies, which are taken back with `Clear-Site-Data` for cache and storage;
the body holds `all` at most."""

_CSRF_TEXT = """For pages that cannot read the cookie `__Host-gatehouse-csrf`, or have lost it.
The token is good for the session of the caller's cookies alone, until that ends; the cookie is
set where it was not there. Who is not logged in gets one that proves nothing: login sets
another."""

_INTROSPECT_TEXT = """Whether the token counts at this moment: a logout, a reset or a revocation is
seen at once. Unknown, expired, revoked and malformed tokens, and those of another audience or a
kind the client may not ask about, are all `{"active": false}`. A gateway and a JWKS make this
unnecessary for most; decide by `token_use`, for a refresh token opens no resource."""

_REVOKE_TEXT = """An access token is refused everywhere within a second; with a refresh token its
whole session ends. 200 also for what has ended or never was a token. A second revocation changes
nothing."""

_REVOKE_ALL_TEXT = """For a break-in. When it is answered no refresh token is good any more, and
every key that has signed is revoked: within a second gateways refuse every access token with
`token_stale`, and the refresh that follows is refused. That holds for the caller of this, too. The
sessions leave the lists and are told one by one, in the minutes after. Who verifies tokens with a
JWKS of their own may accept them until that has run out (5 minutes), unless they follow
`token.signing_key.revoked.v1`. Passwords and known devices stay."""

_OAUTH_PROBLEMS = (
    errors.InvalidRequest,
    errors.InvalidClient,
    errors.UnauthorizedClient,
    errors.TooManyAttempts,
    errors.FormRequired,
)
_CACHED = ("Cache-Control",)

OPERATIONS = (
    Operation(
        method="POST",
        path="/api/v1/auth/login",
        name="logIn",
        tag="Sessions",
        summary="Log in",
        text=_LOGIN_TEXT,
        body=schemas.LoginRequest,
        headers=("Gatehouse-Device", "Gatehouse-Mode"),
        answers={
            200: Answer(
                text="A new session and its tokens.",
                model=schemas.LoginResponse,
                or_model=schemas.BrowserSessionResponse,
            )
        },
        problems=(
            gateway_errors.UnknownMode,
            gateway_errors.MixedModes,
            gateway_errors.CrossOriginRefused,
            identity_errors.InvalidCredentials,
            identity_errors.AccountLocked,
            identity_errors.AccountDisabled,
            identity_errors.EmailNotVerified,
            identity_errors.PasswordChangeRequired,
            identity_errors.PasswordResetRequired,
            identity_errors.TooManyAttempts,
            identity_errors.HashingOverloaded,
            DependencyUnavailable,
            errors.SigningKeyMissing,
        ),
    ),
    Operation(
        method="POST",
        path="/api/v1/auth/refresh",
        name="refresh",
        tag="Sessions",
        summary="Exchange a refresh token",
        text=_REFRESH_TEXT,
        body=schemas.RefreshRequest,
        body_required=False,
        headers=("Gatehouse-Device",),
        answers={
            200: Answer(
                text="The next pair of tokens.",
                model=schemas.TokenResponse,
                or_model=schemas.BrowserSessionResponse,
            )
        },
        problems=(
            errors.InvalidRefreshToken,
            errors.TooManyRefreshes,
            DependencyUnavailable,
            errors.SigningKeyMissing,
        ),
    ),
    Operation(
        method="POST",
        path="/api/v1/auth/logout",
        name="logOut",
        tag="Sessions",
        summary="End this session, or all of the user",
        text=_LOGOUT_TEXT,
        body=schemas.LogoutRequest,
        body_required=False,
        answers={200: Answer(text="Logged out.", model=Outcome, example={"status": "logged out"})},
        problems=(errors.LoginRequired, errors.InvalidRefreshToken, InvalidToken),
    ),
    Operation(
        method="GET",
        path="/api/v1/auth/csrf",
        name="getCsrfToken",
        tag="Sessions",
        summary="Read the CSRF token of browser mode",
        text=_CSRF_TEXT,
        answers={200: Answer(text="The token.", model=CsrfToken)},
        problems=(gateway_errors.CrossOriginRefused, gateway_errors.KeysUnavailable),
    ),
    Operation(
        method="GET",
        path="/api/v1/sessions",
        name="listSessions",
        tag="Sessions",
        summary="List the own sessions",
        query=PageQuery,
        answers={200: Answer(text="The newest first.", model=schemas.SessionsResponse)},
    ),
    Operation(
        method="DELETE",
        path="/api/v1/sessions",
        name="endOtherSessions",
        tag="Sessions",
        summary="End every own session but this one",
        answers={204: Answer(text="The others have ended.")},
    ),
    Operation(
        method="DELETE",
        path="/api/v1/sessions/{id}",
        name="endSession",
        tag="Sessions",
        summary="End one own session",
        answers={204: Answer(text="It has ended.")},
        problems=(errors.SessionNotFound,),
    ),
    Operation(
        method="DELETE",
        path="/api/v1/admin/users/{id}/sessions",
        name="endSessionsOfUser",
        tag="Administration",
        summary="End every session of a user",
        text="Moderators only those of plain users; to them everybody else is unknown.",
        answers={204: Answer(text="They have ended.")},
        problems=(errors.UnknownUser, errors.RoleRequired),
    ),
    Operation(
        method="POST",
        path="/api/v1/admin/revoke-all",
        name="revokeAll",
        tag="Administration",
        summary="Log everybody out at once",
        text=_REVOKE_ALL_TEXT,
        body=GlobalRevocationRequest,
        answers={200: Answer(text="Nobody is logged in.", model=GlobalRevocationResponse)},
        problems=(errors.RoleRequired,),
    ),
    *KEYS,
    Operation(
        method="POST",
        path="/oauth2/introspect",
        name="introspect",
        tag="OAuth",
        summary="Ask whether a token counts (RFC 7662)",
        text=_INTROSPECT_TEXT,
        body=TokenForm,
        body_media=FORM,
        by_client=True,
        answers={
            200: Answer(text="What the token is.", model=schemas.IntrospectionResponse),
        },
        problems=_OAUTH_PROBLEMS,
    ),
    Operation(
        method="POST",
        path="/oauth2/revoke",
        name="revoke",
        tag="OAuth",
        summary="Revoke a token (RFC 7009)",
        text=_REVOKE_TEXT,
        body=TokenForm,
        body_media=FORM,
        by_client=True,
        answers={200: Answer(text="It does not count any more.")},
        problems=(*_OAUTH_PROBLEMS, errors.UnsupportedTokenType),
    ),
    Operation(
        method="GET",
        path="/.well-known/jwks.json",
        name="getKeys",
        tag="Discovery",
        summary="Read the keys that verify access tokens (RFC 7517)",
        answers={
            200: Answer(text="All live keys.", model=JsonWebKeySet, headers=(*_CACHED, "ETag")),
            304: Answer(text="Nothing has changed since the `If-None-Match`."),
        },
    ),
    Operation(
        method="GET",
        path="/.well-known/oauth-authorization-server",
        name="getMetadata",
        tag="Discovery",
        summary="Read the issuer's metadata (RFC 8414)",
        answers={
            200: Answer(
                text="The metadata.", model=schemas.AuthorizationServerMetadata, headers=_CACHED
            ),
        },
    ),
)
