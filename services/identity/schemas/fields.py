"""The kinds of fields: parsed at the edge, refused by name."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from services.identity.domain.names import MAX_EMAIL_LENGTH, EmailAddress, Username

_TOKEN_LENGTH = 128


def _email(text: str) -> str:
    try:
        return EmailAddress.parse(text).text
    except ValueError as error:
        raise PydanticCustomError("invalid_email", "This is {reason}.", _reason(error)) from None


def _username(text: str) -> str:
    try:
        return Username.parse(text).text
    except ValueError as error:
        raise PydanticCustomError("invalid_username", "Use {reason}.", _reason(error)) from None


def _reason(error: ValueError) -> dict[str, Any]:
    return {"reason": str(error)}


Email = Annotated[
    str,
    AfterValidator(_email),
    WithJsonSchema({"type": "string", "format": "email", "maxLength": MAX_EMAIL_LENGTH}),
]
Name = Annotated[
    str,
    AfterValidator(_username),
    WithJsonSchema({"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{2,31}$"}),
]
Secret = Annotated[str, Field(repr=False)]
Token = Annotated[str, StringConstraints(min_length=1, max_length=_TOKEN_LENGTH), Field(repr=False)]
