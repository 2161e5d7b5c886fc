"""HTTP bodies in and out: strict JSON parsing, one shape of answer, one shape of error."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NoReturn, TypeVar
from unicodedata import category

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from chassis.errors import (
    FieldError,
    InvalidInput,
    MalformedBody,
    PayloadTooLarge,
    Problem,
    RequestTimeout,
    UnsupportedMediaType,
)

MAX_BODY_BYTES = 64 * 1024
JSON_TYPE = "application/json"

M = TypeVar("M", bound=BaseModel)

_MAX_ERRORS = 50
# Control characters and lone surrogates have no place in any field of this API.
_REFUSED_CATEGORIES = frozenset({"Cc", "Cs"})
_CODES = {"extra_forbidden": "unknown_field"}


class _NotOurJsonError(ValueError):
    """What JSON allows and this API does not; the message may be shown."""


class RequestModel(BaseModel):
    """Base of request bodies: strict types, unknown fields refused (no mass assignment).

    The parser's cache of texts holds names of fields alone: passwords and tokens do not stay in it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, cache_strings="keys")


class QueryModel(BaseModel):
    """Base of query strings: text is parsed, unknown and repeated names refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ResponseModel(BaseModel):
    """Base of answers: only the declared fields leave the house."""

    model_config = ConfigDict(frozen=True)


async def read_json(request: Request, model: type[M], *, limit: int = MAX_BODY_BYTES) -> M:
    """Read the body as one JSON object of *model*.

    Raises UnsupportedMediaType, PayloadTooLarge (above *limit* bytes), MalformedBody (not UTF-8,
    not JSON, a key twice, not an object) and InvalidInput with a JSON pointer per field.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON_TYPE:
        raise UnsupportedMediaType
    return parse_json(await read_body(request, limit=limit), model)


def parse_json(body: bytes, model: type[M]) -> M:
    """Read *body* as one JSON object of *model*. Raises MalformedBody, InvalidInput."""
    document = _parse(body)
    unfit = list(_unfit_texts(document, ""))
    if unfit:
        raise InvalidInput(errors=unfit[:_MAX_ERRORS])
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        _refuse(error)


async def read_body(request: Request, *, limit: int = MAX_BODY_BYTES) -> bytes:
    """Read the body whole. Raises PayloadTooLarge as soon as it passes *limit* bytes."""
    declared = request.headers.get("content-length")
    if declared is not None and declared.isdecimal() and int(declared) > limit:
        raise PayloadTooLarge(headers={"Connection": "close"})
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise PayloadTooLarge(headers={"Connection": "close"})
    except ClientDisconnect:
        raise RequestTimeout("The body never arrived in full.") from None
    return bytes(body)


def query(request: Request, model: type[M]) -> M:
    """Read the query string as *model*. Raises InvalidInput."""
    values: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in values:
            raise InvalidInput(errors=[FieldError(_pointer("", name), "repeated", "Given twice.")])
        values[name] = value
    unfit = list(_unfit_texts(values, ""))
    if unfit:
        raise InvalidInput(errors=unfit[:_MAX_ERRORS])
    try:
        return model.model_validate(values)
    except ValidationError as error:
        _refuse(error)


def respond(
    content: BaseModel | Mapping[str, Any] | list[Any] | None = None,
    status: int = HTTPStatus.OK,
    *,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Answer with JSON, or with nothing at all when *content* is None."""
    if content is None:
        return Response(status_code=status, headers=dict(headers or {}))
    if isinstance(content, BaseModel):
        body = content.model_dump_json().encode()
    else:
        body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(body, status, headers=dict(headers or {}), media_type=JSON_TYPE)


def problem_response(problem: Problem, *, request_id: str | None = None) -> Response:
    """Render *problem* (RFC 9457); the only place where an error becomes bytes."""
    document: dict[str, Any] = {
        "type": f"urn:gatehouse:problem:{problem.code}",
        "title": problem.title,
        "status": int(problem.status),
        "code": problem.code,
        **problem.extensions,
    }
    if problem.detail:
        document["detail"] = problem.detail
    if problem.errors:
        document["errors"] = [
            {"pointer": e.pointer, "code": e.code, "detail": e.detail} for e in problem.errors
        ]
    if request_id:
        document["request_id"] = request_id
    headers = dict(problem.headers)
    if problem.retry_after is not None:
        headers["Retry-After"] = str(problem.retry_after)
    if problem.status is HTTPStatus.UNAUTHORIZED:
        headers.setdefault("WWW-Authenticate", "Bearer")
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(body, int(problem.status), headers=headers, media_type=problem.media_type)


def _parse(body: bytes) -> dict[str, Any]:
    try:
        document = _DECODER.decode(body.decode("utf-8"))
    except UnicodeDecodeError:
        raise MalformedBody("The body is not UTF-8.") from None
    except RecursionError:
        raise MalformedBody("The body is nested too deeply.") from None
    except ValueError as error:
        raise MalformedBody(_reason(error)) from None
    if not isinstance(document, dict):
        raise MalformedBody("The body is not a JSON object.")
    return document


def _reason(error: ValueError) -> str:
    """Say where the JSON breaks, without repeating what was sent."""
    if isinstance(error, json.JSONDecodeError):
        return f"Not JSON at line {error.lineno}, column {error.colno}."
    return str(error) if isinstance(error, _NotOurJsonError) else "Not JSON."


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise _NotOurJsonError("A key stands twice in one object.")
    return document


def _refuse_constant(_name: str) -> NoReturn:
    raise _NotOurJsonError("NaN and Infinity are not JSON.")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant)


def _unfit_texts(value: Any, pointer: str) -> list[FieldError]:
    """List the texts that hold control characters or lone surrogates."""
    if isinstance(value, str):
        if value.isprintable():  # said at once of almost all
            return []
        if any(category(character) in _REFUSED_CATEGORIES for character in value):
            return [FieldError(pointer, "control_character", "Control characters are refused.")]
        return []
    found: list[FieldError] = []
    if isinstance(value, dict):
        for key, item in value.items():
            if _unfit_texts(key, ""):
                found.append(FieldError(pointer, "control_character", "A key is not printable."))
            else:
                found += _unfit_texts(item, _pointer(pointer, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += _unfit_texts(item, f"{pointer}/{index}")
    return found


def _pointer(parent: str, key: str) -> str:
    escaped = key.replace("~", "~0").replace("/", "~1")
    return f"{parent}/{escaped[:128]}"


def _refuse(error: ValidationError) -> NoReturn:
    """Turn pydantic's complaints into ours, without the values they are about."""
    complaints = error.errors(include_input=False, include_url=False, include_context=False)
    raise InvalidInput(
        errors=[
            FieldError(
                "".join(_pointer("", str(part)) for part in complaint["loc"]),
                _CODES.get(complaint["type"], complaint["type"]),
                complaint["msg"],
            )
            for complaint in complaints[:_MAX_ERRORS]
        ]
    ) from None
