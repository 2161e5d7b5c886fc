"""What can go wrong in token, by name."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar

from chassis.errors import (
    BadRequest,
    FieldError,
    Forbidden,
    NotFound,
    Problem,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
    UnsupportedMediaType,
)
from chassis.http import JSON_TYPE
from chassis.rates import Rate
from contracts.browser import SESSION_HEADER, SESSION_OVER
from contracts.denials import FOREIGN_SESSION, REPORT_HEADER, UNKNOWN_REFRESH_TOKEN


class InvalidCredentials(Unauthenticated):
    """The credentials were good, but not any more when the session was to start (D24)."""

    code = "invalid_credentials"
    title = "The username or the password is not right."


class InvalidRefreshToken(Unauthenticated):
    """One answer for every refresh token that is not accepted, whatever the reason.

    It tells the gateway to take back the cookies of the session, where it came in one.
    """

    code = "invalid_refresh_token"
    title = "The refresh token is not valid."

    def __init__(self) -> None:
        super().__init__(headers={SESSION_HEADER: SESSION_OVER})


class UnknownRefreshToken(InvalidRefreshToken):
    """No session ever had this refresh token, or none that is remembered.

    The answer is that of every other; the gateway counts it for the audit log, since no event
    could say whose session it was.
    """

    def __init__(self) -> None:
        super().__init__()
        self.headers[REPORT_HEADER] = UNKNOWN_REFRESH_TOKEN


class TooManyRefreshes(TooManyRequests):
    """The session was refreshed too often; its token is as good as before.

    `RateLimit` names the limit as the gateway names its own.
    """

    title = "This session was refreshed too often."

    def __init__(self, rate: Rate, *, retry_after: int) -> None:
        window = int(rate.period.total_seconds())
        super().__init__(
            retry_after=retry_after,
            headers={
                "RateLimit-Policy": f'"per_session";q={rate.limit};w={window}',
                "RateLimit": f'"per_session";r=0;t={window}',
            },
        )


class CsrfTokenForeign(Forbidden):
    """The CSRF token is authentic, but not of the session the refresh token is of (D14)."""

    code = "csrf_token_of_another_session"
    title = "The CSRF token belongs to another session."


class LoginRequired(Unauthenticated):
    """The request came without a credential that says whose session is meant."""

    code = "unauthenticated"
    title = "Log in first."


class EventNotAccepted(BadRequest):
    """The pushed event is not one that token has any business with."""

    code = "event_not_accepted"
    title = "This event is not expected here."


class SessionNotFound(NotFound):
    """No live session of this user has that id; others' sessions look the same."""

    code = "not_found"
    title = "There is no such session."


class ForeignSession(SessionNotFound):
    """The session is somebody else's, or nobody's; reported as `UnknownRefreshToken` is."""

    def __init__(self) -> None:
        super().__init__(headers={REPORT_HEADER: FOREIGN_SESSION})


class UnknownUser(NotFound):
    """No user has that id, or none that the caller may see."""

    code = "not_found"
    title = "There is no such user."


class RoleRequired(Forbidden):
    """The caller lacks the role this needs."""

    code = "role_required"
    title = "Your roles do not allow this."


class SigningKeyNotFound(NotFound):
    """No signing key has that `kid`."""

    code = "not_found"
    title = "There is no such signing key."


class SigningKeyMissing(Unavailable):
    """The signing key has not been loaded yet."""

    code = "signing_key_missing"
    title = "No tokens can be issued right now."


class OAuthRefusal(Problem):
    """A refusal that OAuth has a word for, said in OAuth's own form (RFC 6749 §5.2).

    `error` is that word and always the code too; the other members stay those of a problem.
    """

    media_type = JSON_TYPE
    error: ClassVar[str] = "invalid_request"

    def __init__(self, detail: str | None = None, **told: Any) -> None:
        extensions = {"error": self.error, "error_description": detail or self.title}
        super().__init__(detail, extensions=extensions, **told)


class InvalidRequest(OAuthRefusal, BadRequest):
    """A parameter is missing, is given twice or cannot be read."""

    code = error = "invalid_request"
    title = "The parameters of the request are not as they should be."


class InvalidClient(OAuthRefusal, Unauthenticated):
    """One answer for every client that is not the one it says, whatever the reason."""

    code = error = "invalid_client"
    title = "The client could not be authenticated."

    def __init__(self) -> None:
        super().__init__(headers={"WWW-Authenticate": 'Basic realm="oauth2", charset="UTF-8"'})


class UnauthorizedClient(OAuthRefusal, Forbidden):
    """The client is known and may not do this; only operators can change that."""

    code = error = "unauthorized_client"
    title = "The client may not do this."


class UnsupportedTokenType(OAuthRefusal, BadRequest):
    """The token is of a kind that is not revoked here (RFC 7009 §2.2.1)."""

    code = error = "unsupported_token_type"
    title = "Only access tokens and refresh tokens are revoked here."


class TooManyAttempts(TooManyRequests):
    """The address has failed to authenticate clients too often within a minute."""

    code = "too_many_attempts"
    title = "Too many failed attempts from this address."


class FormRequired(UnsupportedMediaType):
    """The parameters did not come as OAuth sends them."""

    title = "Only application/x-www-form-urlencoded is accepted here."


_RENDERED_FIELDS = frozenset(
    {"type", "title", "status", "code", "detail", "errors", "request_id", "instance"}
)


def refusal(status: int, document: Mapping[str, Any], retry_after: int | None) -> Problem:
    """Return identity's refusal as a problem of our own, with its status, code and title."""
    kind = type(
        "IdentityRefusal",
        (Problem,),
        {
            "status": HTTPStatus(status),
            "code": str(document.get("code", "unknown")),
            "title": str(document.get("title", "The credentials were refused.")),
        },
    )
    problem: Problem = kind(
        document.get("detail"),
        errors=[
            FieldError(str(e.get("pointer")), str(e.get("code")), str(e.get("detail")))
            for e in document.get("errors", ())
        ],
        retry_after=retry_after,
        extensions={k: v for k, v in document.items() if k not in _RENDERED_FIELDS},
    )
    return problem
