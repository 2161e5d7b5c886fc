"""What the gateway refuses, by name."""

from collections.abc import Iterable
from http import HTTPStatus
from uuid import UUID

from chassis.errors import (
    BadGateway,
    BadRequest,
    Forbidden,
    GatewayTimeout,
    Problem,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
)
from chassis.jwt import InvalidToken


class AmbiguousRequest(BadRequest):
    """Its framing or its Host could be read in two ways (RFC 9112 §3.2, §6.1).

    Nothing that follows on the connection can be trusted to begin where it seems to.
    """

    code = "ambiguous_request"
    title = "The request can be read in more than one way."

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"Connection": "close"})


class AmbiguousPath(AmbiguousRequest):
    """Another server could understand another path (RFC 3986 §6.2)."""

    code = "ambiguous_path"
    title = "The path can be read in more than one way."


class HeadersTooLarge(Problem):
    """431: the request line or the headers pass the limits (RFC 6585 §5)."""

    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    code = "headers_too_large"
    title = "The request line or the headers are too large."


class ExpectationUnknown(Problem):
    """417: an expectation besides 100-continue (RFC 9110 §10.1.1)."""

    status = HTTPStatus.EXPECTATION_FAILED
    code = "expectation_unknown"
    title = "The only expectation met here is 100-continue."

    def __init__(self) -> None:
        super().__init__(headers={"Connection": "close"})


class MisdirectedRequest(Problem):
    """421: the Host is not ours (RFC 9110 §15.5.20)."""

    status = HTTPStatus.MISDIRECTED_REQUEST
    code = "unknown_host"
    title = "This host is not served here."


class AddressBlocked(Forbidden):
    """The client's address is blocked (D26)."""

    code = "address_blocked"
    title = "Requests from this address are refused."


class TokenRequired(Unauthenticated):
    """The route is for users, and no access token came."""

    title = "An access token is needed."

    def __init__(self) -> None:
        super().__init__(headers={"WWW-Authenticate": "Bearer"})


class _DeadToken(Unauthenticated):
    def __init__(self) -> None:
        super().__init__(headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})


class TokenRevoked(_DeadToken):
    """The token or its session was ended (D12)."""

    code = "token_revoked"
    title = "The session has ended."


class TokenStale(_DeadToken):
    """The subject has changed since: a refresh gives a token with the new roles (D25)."""

    code = "token_stale"
    title = "The access token is older than a change of the account: refresh it."


class SigningKeyRevoked(InvalidToken):
    """What signed the token is trusted no more: a refresh gives one by another key (D11)."""

    code = "token_stale"
    title = "The access token was signed by a key that is revoked: refresh it."

    def __init__(self) -> None:
        super().__init__("revoked_key")


class RoleMissing(Forbidden):
    """The token is good, but none of the route's roles is in it (RFC 6750 §3.1).

    *actor* is whose token it is; no answer tells.
    """

    title = "Your role does not allow this."

    def __init__(self, actor: UUID) -> None:
        super().__init__(headers={"WWW-Authenticate": 'Bearer error="insufficient_scope"'})
        self.actor = actor


class ScopeMissing(Forbidden):
    """The token is good, but none of the route's scopes (or roles) is in it (RFC 6750 §3.1).

    *scopes* are told to the client, *actor* to no one outside.
    """

    code = "insufficient_scope"
    title = "The access token does not have the scope for this."

    def __init__(self, actor: UUID, scopes: Iterable[str]) -> None:
        needed = " ".join(sorted(scopes))
        super().__init__(
            headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{needed}"'}
        )
        self.actor = actor


class UnknownMode(BadRequest):
    """Login asks for a mode that there is not."""

    code = "unknown_mode"
    title = "Gatehouse-Mode can only be: browser."


class MixedModes(BadRequest):
    """Login asks for browser mode with an Authorization header, which means API mode."""

    code = "mixed_modes"
    title = "A request is either in browser mode or has an Authorization header."


class AmbiguousCookies(BadRequest):
    """A cookie of the platform came twice; only one of the two can be ours."""

    code = "ambiguous_cookies"
    title = "A cookie of this platform is given twice."


class CsrfRefused(Forbidden):
    """In browser mode, and not proven to be the wish of a page of ours (D14)."""


class CrossOriginRefused(CsrfRefused):
    """A page of another origin asks, or nobody says which page does."""

    code = "cross_origin_refused"
    title = "Requests of other origins are refused here."


class CsrfTokenMissing(CsrfRefused):
    """The CSRF cookie or its copy in X-CSRF-Token is not there."""

    code = "csrf_token_missing"
    title = "The CSRF token is needed: the cookie, and its value in X-CSRF-Token."


class CsrfTokenInvalid(CsrfRefused):
    """Cookie and header differ, or the token was not made here."""

    code = "csrf_token_invalid"
    title = "The CSRF token is not valid."


class CsrfTokenForeign(CsrfRefused):
    """The CSRF token is authentic, but not of this session."""

    code = "csrf_token_of_another_session"
    title = "The CSRF token belongs to another session."


class KeysUnavailable(Unavailable):
    """No key set was loaded yet: nothing can be verified."""

    code = "keys_unavailable"
    title = "Access tokens cannot be verified right now."


class RateLimited(TooManyRequests):
    """A limit is used up."""


class TooManyOpenRequests(TooManyRequests):
    """The address has as many requests open as one may have."""

    code = "too_many_open_requests"
    title = "Too many requests of this address are open: let some end first."


class Overloaded(Unavailable):
    """This gateway has more to do than it can: some are refused so that others are served."""

    code = "overloaded"
    title = "There is too much to do right now: try again in a moment."


class UpstreamUnavailable(Unavailable):
    """One of our own services cannot be reached."""

    code = "service_unavailable"
    title = "A part of the platform this needs cannot answer right now."


class UpstreamLeftAlone(Unavailable):
    """No address of a product's upstream has answered lately: it is not asked for a moment."""

    code = "upstream_unavailable"
    title = "The service behind the gateway cannot be reached right now."


class UpstreamBusy(Unavailable):
    """The upstream works on as many requests as it may, and enough others wait."""

    code = "upstream_busy"
    title = "The service behind the gateway has too much to do: try again in a moment."


class UpstreamFailed(BadGateway):
    """The upstream broke the connection or spoke no HTTP."""


class UpstreamSlow(GatewayTimeout):
    """The upstream did not answer in time."""
