"""What comes in: bodies and queries."""

from typing import Annotated, Self

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from chassis.http import RequestModel
from chassis.paging import PageQuery
from services.identity.domain.accounts import Role
from services.identity.domain.edits import Edits
from services.identity.domain.names import MAX_EMAIL_LENGTH, EmailAddress, Username
from services.identity.schemas.fields import Email, Name, Secret, Token


def _given(value: object) -> object:
    if value is None:
        raise PydanticCustomError("null_field", "Leave out what is to stay as it is.")
    return value


_GIVEN = BeforeValidator(_given)


class RegisterBody(RequestModel):
    """A new account."""

    email: Email
    username: Name
    password: Secret


class TokenBody(RequestModel):
    """A one-time token."""

    token: Token


class EmailBody(RequestModel):
    """An address that asks for a mail."""

    email: Email


class ResetBody(RequestModel):
    """A reset token and the password it is to set."""

    token: Token
    new_password: Secret


class ChangeBody(RequestModel):
    """The current password and the next."""

    current_password: Secret
    new_password: Secret


class ProfileBody(RequestModel):
    """What of the profile is to change."""

    username: Name


class EmailChangeBody(RequestModel):
    """The address an account is to have, and its password."""

    email: Email
    current_password: Secret


class EditBody(RequestModel):
    """What an administrator corrects; a field that is not there stays as it is."""

    username: Annotated[Name | None, _GIVEN] = None
    email: Annotated[Email | None, _GIVEN] = None
    is_verified: Annotated[bool | None, _GIVEN] = None

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not self.model_fields_set:
            raise PydanticCustomError("nothing_to_change", "Name at least one field.")
        return self

    @property
    def edits(self) -> Edits:
        """Return what is asked for."""
        return Edits(
            username=None if self.username is None else Username.parse(self.username),
            email=None if self.email is None else EmailAddress.parse(self.email),
            is_verified=self.is_verified,
        )


class PasswordBody(RequestModel):
    """The password, repeated."""

    password: Secret


class RolesBody(RequestModel):
    """The roles an account shall have; `user` it always has."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)

    roles: Annotated[list[Role], Field(max_length=len(Role))]


class UsersQuery(PageQuery):
    """Which accounts are asked for; `q` is the beginning of an address or username."""

    q: Annotated[str, StringConstraints(min_length=1, max_length=MAX_EMAIL_LENGTH)] | None = None
    role: Role | None = None
