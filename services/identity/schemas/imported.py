"""Lines of an import, and what is said of them."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from chassis.errors import BadRequest, FieldError, InvalidInput
from chassis.http import RequestModel, ResponseModel, parse_json
from services.identity.domain.accounts import Role
from services.identity.domain.imports import Entry, Outcome
from services.identity.domain.names import EmailAddress, Username
from services.identity.hashing import UnreadableHash, read_hash
from services.identity.schemas.fields import Email, Name

_MAX_HASH_LENGTH = 512
_ADVICE = {
    "hash_unsupported": "No scheme we verify; without a hash the owner resets the password.",
    "hash_malformed": "The scheme is known, but this is no hash of it.",
    "hash_too_expensive": "Verifying this would cost too much.",
}


def _hash(text: str) -> str:
    try:
        read_hash(text)
    except UnreadableHash as refusal:
        raise PydanticCustomError(refusal.reason, _ADVICE[refusal.reason]) from None
    return text


def _importable(role: Role) -> Role:
    if role is Role.ADMIN:
        raise PydanticCustomError("role_not_importable", "Administrators are made one by one.")
    return role


def _moment(given: datetime) -> datetime:
    try:
        return given.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("datetime_out_of_range", "No calendar has this in UTC.") from None


Hash = Annotated[
    str,
    StringConstraints(max_length=_MAX_HASH_LENGTH),
    AfterValidator(_hash),
    WithJsonSchema({"type": "string", "maxLength": _MAX_HASH_LENGTH}),
]

Moment = Annotated[AwareDatetime, AfterValidator(_moment)]

Roles = list[Annotated[Role, AfterValidator(_importable)]]


class ImportLine(RequestModel):
    """One account; `password_hash` is what the system it comes from stored."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    email: Email
    username: Name | None = None
    password_hash: Hash | None = Field(default=None, repr=False)
    is_verified: bool = False
    roles: Roles = Field(default_factory=list, max_length=len(Role))
    created_at: Moment | None = None


class LineError(ResponseModel):
    """What is wrong with one field; `pointer` is a JSON pointer (RFC 6901) into the line."""

    pointer: str
    code: str
    detail: str


class LineResult(ResponseModel):
    """What became of one line."""

    line: int
    status: Literal["created", "exists", "failed"]
    id: UUID | None = None
    errors: list[LineError] | None = None


class ImportEnd(ResponseModel):
    """The last line: `finished`, or `stopped` with a code before all lines were read."""

    status: Literal["finished", "stopped"]
    created: int
    exists: int
    failed: int
    code: str | None = None


def read_line(number: int, text: bytes | None) -> Entry | Outcome:
    """Return the account of one line, or the outcome that it failed; None is too long a line."""
    if text is None:
        return _failed(number, "", "line_too_long", "No line may be longer than 16 KiB.")
    try:
        line = parse_json(text, ImportLine)
    except InvalidInput as refusal:
        return Outcome(line=number, status="failed", errors=refusal.errors)
    except BadRequest as refusal:
        return _failed(number, "", refusal.code, refusal.detail or refusal.title)
    return Entry(
        line=number,
        email=EmailAddress.parse(line.email),
        username=None if line.username is None else Username.parse(line.username),
        password_hash=line.password_hash,
        is_verified=line.is_verified,
        roles=frozenset(str(role) for role in line.roles),
        created_at=line.created_at,
    )


def write_result(outcome: Outcome) -> bytes:
    """Return one line of the answer."""
    errors = [LineError(pointer=e.pointer, code=e.code, detail=e.detail) for e in outcome.errors]
    result = LineResult(
        line=outcome.line, status=outcome.status, id=outcome.user_id, errors=errors or None
    )
    return _line(result)


def write_end(counts: dict[str, int], code: str | None) -> bytes:
    """Return the last line of the answer."""
    kinds: dict[str, Any] = {kind: counts.get(kind, 0) for kind in ("created", "exists", "failed")}
    return _line(ImportEnd(status="stopped" if code else "finished", code=code, **kinds))


def _failed(number: int, pointer: str, code: str, detail: str) -> Outcome:
    return Outcome(line=number, status="failed", errors=(FieldError(pointer, code, detail),))


def _line(model: ResponseModel) -> bytes:
    return model.model_dump_json(exclude_none=True).encode() + b"\n"
