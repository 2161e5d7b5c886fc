"""Answers that have no model in the services, because they are put together as plain objects."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class Shape(BaseModel):
    """Base of these shapes: nothing beside the named fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FieldComplaint(Shape):
    """What is wrong with one field; `pointer` is a JSON pointer (RFC 6901) into the body."""

    pointer: str
    code: str
    detail: str


class ProblemDetails(BaseModel):
    """Why a request was refused (RFC 9457). Decide by `code`: it never changes; texts may."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: Annotated[str, Field(examples=["urn:gatehouse:problem:invalid_input"])]
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    code: Annotated[str, Field(pattern=r"^[a-z_]+$")]
    detail: str = ""
    errors: list[FieldComplaint] = []
    request_id: str = ""


class Outcome(Shape):
    """What became of the request."""

    status: Literal[
        "accepted", "verified", "password_reset", "password_changed", "reverted", "logged out"
    ]


class TokenForm(BaseModel):
    """One token, and the client's credentials where no header holds them; others are ignored."""

    model_config = ConfigDict(frozen=True)

    token: Annotated[str, Field(min_length=1)]
    token_type_hint: str = ""
    client_id: str = ""
    client_secret: str = ""


class CsrfToken(Shape):
    """The token that unsafe methods need in browser mode, to be sent back as `X-CSRF-Token`."""

    csrf_token: str


class PasswordPolicy(Shape):
    """The rules for new passwords; lengths are in characters after NFC."""

    preset: str
    min_length: int
    max_length: int
    require_uppercase: bool
    require_numbers: bool
    require_special_chars: bool
    normalization: Literal["NFC"]
    refused: list[Literal["common", "personal"]]


class JsonWebKey(BaseModel):
    """One public key (RFC 7517 §4); the members of its type are in RFC 7518 §6 and RFC 8037."""

    model_config = ConfigDict(frozen=True, extra="allow")

    kty: Literal["EC", "OKP", "RSA"]
    kid: str
    alg: Literal["ES256", "EdDSA", "RS256"]
    use: Literal["sig"]


class JsonWebKeySet(Shape):
    """The keys access tokens are signed with (RFC 7517 §5)."""

    keys: list[JsonWebKey]


class AuditEntry(Shape):
    """One event of the log. `erased`: personal data is gone, or is another's and not shown."""

    id: UUID
    type: str
    outcome: Literal["success", "failure", "denied"]
    actor: str | None
    subject: str | None
    ip: str | None
    user_agent: str | None
    occurred_at: datetime
    received_at: datetime
    source: str
    producerseq: int | str | None
    trace_id: str | None
    data: dict[str, Any]
    erased: bool


class AuditPage(Shape):
    """Some entries, newest first."""

    items: list[AuditEntry]
    next_cursor: str | None


class Index(BaseModel):
    """Where a developer finds what; a path by its name."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: Literal["Gatehouse"]
