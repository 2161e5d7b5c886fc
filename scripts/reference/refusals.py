"""What an operation may refuse: its own problems, and those that follow from what it is."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from chassis import errors as chassis
from chassis.database import DatabaseUnavailable
from chassis.errors import Problem
from chassis.jwt import InvalidToken, TokenExpired
from gateway import errors as gateway
from scripts.reference.access import Access
from scripts.reference.operation import FORM, Operation
from scripts.reference.schemas import Schemas
from scripts.reference.shapes import ProblemDetails
from services.token.errors import OAuthRefusal

_BODY = (chassis.RequestTimeout, chassis.PayloadTooLarge, chassis.UnsupportedMediaType)
_JSON_BODY = (chassis.MalformedBody, chassis.InvalidInput)
_VERIFIED = (InvalidToken, gateway.KeysUnavailable)
_ALIVE = (gateway.TokenRequired, TokenExpired, gateway.TokenRevoked, gateway.TokenStale)
_IN_BROWSER = (
    gateway.CrossOriginRefused,
    gateway.CsrfTokenMissing,
    gateway.CsrfTokenInvalid,
    gateway.CsrfTokenForeign,
)
_FORWARDED = (
    gateway.UpstreamUnavailable,
    gateway.UpstreamBusy,
    DatabaseUnavailable,
    gateway.UpstreamFailed,
    gateway.UpstreamSlow,
)
_ANYWHERE = (
    gateway.AddressBlocked,
    gateway.AmbiguousRequest,
    gateway.AmbiguousPath,
    chassis.NotFound,
    chassis.MethodNotAllowed,
    gateway.MisdirectedRequest,
    gateway.HeadersTooLarge,
    gateway.ExpectationUnknown,
    gateway.TooManyOpenRequests,
    gateway.Overloaded,
    chassis.ServerError,
)

_TEXT = {"schema": {"type": "string"}}
HEADERS: dict[str, Any] = {
    "Cache-Control": {"description": "How long it may be kept."} | _TEXT,
    "ETag": {"description": "To be sent back as `If-None-Match`."} | _TEXT,
    "RateLimit": {"description": "What is left of the tightest limit."} | _TEXT,
    "RateLimit-Policy": {"description": "The limits that were counted."} | _TEXT,
    "Retry-After": {
        "description": "Seconds to wait before another try.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "WWW-Authenticate": {"description": "RFC 6750 §3; of clients RFC 7617 §2."} | _TEXT,
}
_HEADERS_OF = {
    401: ("WWW-Authenticate",),
    429: ("Retry-After", "RateLimit", "RateLimit-Policy"),
    503: ("Retry-After",),
}
_Kinds = Sequence[type[Problem]]


class Refusals:
    """Writes the refusals of operations; equal ones stand once, in `components/responses`."""

    def __init__(self, schemas: Schemas) -> None:
        self._schema = schemas.reference(ProblemDetails)
        self.components: dict[str, Any] = {"other": self._response(_ANYWHERE, None)}

    def responses(self, operation: Operation, access: Access) -> dict[str, Any]:
        """Return references to the refusals by their status, and one to those of any request."""
        found = sorted(set(_kinds(operation, access)), key=_order)
        unique = {(int(kind.status), kind.code): kind for kind in reversed(found)}
        written = {}
        ordered = sorted(unique.values(), key=_order)
        for status, kinds in groupby(ordered, key=lambda kind: int(kind.status)):
            written[str(status)] = self._reference(status, list(kinds))
        return written | {"default": {"$ref": "#/components/responses/other"}}

    def _reference(self, status: int, kinds: _Kinds) -> dict[str, str]:
        name = ".".join([str(status), *(kind.code for kind in kinds)])
        self.components.setdefault(name, self._response(kinds, status))
        return {"$ref": f"#/components/responses/{name}"}

    def _response(self, kinds: _Kinds, status: int | None) -> dict[str, Any]:
        shown = "" if status else "{}, "
        lines = [f"- {shown.format(int(k.status))}`{k.code}`: {k.title}" for k in kinds]
        content: dict[str, Any] = {}
        for kind in kinds:
            media = {"schema": self._schema, "examples": {}}
            content.setdefault(kind.media_type, media)["examples"][kind.code] = _example(kind)
        response: dict[str, Any] = {"description": "\n".join(lines), "content": content}
        names = _HEADERS_OF.get(status or 0, ())
        if names:
            response["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
        return response


def _kinds(operation: Operation, access: Access) -> Iterable[type[Problem]]:
    route = access.route
    yield from operation.problems
    if operation.body:
        yield from _BODY if operation.body_media == FORM else (*_JSON_BODY, *_BODY)
    if operation.query:
        yield chassis.InvalidInput
    if route.access != "public":
        yield from _VERIFIED
    if route.access == "user":
        yield from _ALIVE
    if route.access != "public" or route.session or route.answer:
        yield gateway.AmbiguousCookies
    if access.needs_csrf_token:
        yield from _IN_BROWSER
    if route.roles:
        yield gateway.RoleMissing
    if route.limits:
        yield gateway.RateLimited
    if route.upstream:
        yield from _FORWARDED


def _order(kind: type[Problem]) -> tuple[int, str, str]:
    return int(kind.status), kind.code, kind.__module__


def _example(kind: type[Problem]) -> dict[str, Any]:
    value: dict[str, Any] = {
        "type": f"urn:gatehouse:problem:{kind.code}",
        "title": kind.title,
        "status": int(kind.status),
        "code": kind.code,
        "request_id": "5f0c3c9d2b1e4a7f8d6e5c4b3a291807",
    }
    if issubclass(kind, OAuthRefusal):
        value |= {"error": kind.error, "error_description": kind.title}
    return {"value": value}
