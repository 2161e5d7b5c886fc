"""What can go wrong, by name: problem details with a stable code (RFC 9457).

A deployable names its own errors by subclassing one of the kinds below with a `code` and a
`title`. The kind decides the status, `chassis.http` renders them all, once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar

PROBLEM_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field; `pointer` is a JSON pointer (RFC 6901) into the body."""

    pointer: str
    code: str
    detail: str


class Problem(Exception):  # noqa: N818 - the RFC's word
    """An error with a status, a stable code and a title a person can read.

    `retry_after` is in whole seconds and becomes the header of that name. `media_type` is another
    one only where a standard wants its own members beside those of a problem.
    """

    media_type: ClassVar[str] = PROBLEM_TYPE
    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Something went wrong on our side."

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: Sequence[FieldError] = (),
        retry_after: int | None = None,
        headers: Mapping[str, str] | None = None,
        extensions: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail
        self.errors = tuple(errors)
        self.retry_after = retry_after
        self.headers = dict(headers or {})
        self.extensions = dict(extensions or {})


class BadRequest(Problem):
    """400."""

    status = HTTPStatus.BAD_REQUEST
    code = "bad_request"
    title = "The request cannot be understood."


class Unauthenticated(Problem):
    """401."""

    status = HTTPStatus.UNAUTHORIZED
    code = "unauthenticated"
    title = "Valid credentials are needed."


class Forbidden(Problem):
    """403."""

    status = HTTPStatus.FORBIDDEN
    code = "forbidden"
    title = "This is not allowed."


class NotFound(Problem):
    """404."""

    status = HTTPStatus.NOT_FOUND
    code = "not_found"
    title = "There is nothing here."


class MethodNotAllowed(Problem):
    """405."""

    status = HTTPStatus.METHOD_NOT_ALLOWED
    code = "method_not_allowed"
    title = "This path does not know the method."


class RequestTimeout(Problem):
    """408."""

    status = HTTPStatus.REQUEST_TIMEOUT
    code = "request_timeout"
    title = "The request took too long to arrive."


class Conflict(Problem):
    """409."""

    status = HTTPStatus.CONFLICT
    code = "conflict"
    title = "This is already taken."


class PayloadTooLarge(Problem):
    """413."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    code = "payload_too_large"
    title = "The body is too large."


class UnsupportedMediaType(Problem):
    """415."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    code = "unsupported_media_type"
    title = "Only application/json is accepted here."


class TooManyRequests(Problem):
    """429."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "rate_limited"
    title = "Too many requests."


class ServerError(Problem):
    """500."""


class BadGateway(Problem):
    """502."""

    status = HTTPStatus.BAD_GATEWAY
    code = "bad_gateway"
    title = "The service behind the gateway did not answer properly."


class Unavailable(Problem):
    """503."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "unavailable"
    title = "The service cannot answer right now."


class GatewayTimeout(Problem):
    """504."""

    status = HTTPStatus.GATEWAY_TIMEOUT
    code = "gateway_timeout"
    title = "The service behind the gateway took too long."


class InvalidInput(BadRequest):
    """The body or query breaks the rules; `errors` names each field."""

    code = "invalid_input"
    title = "Some fields are not valid."


class MalformedBody(BadRequest):
    """The body is not the JSON object it should be."""

    code = "malformed_body"
    title = "The body is not a JSON object."
