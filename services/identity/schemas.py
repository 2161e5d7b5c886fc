"""The JSON of identity's HTTP API: what comes in, parsed; what goes out, and nothing more."""

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from chassis.http import QueryModel, RequestModel, ResponseModel
from services.identity.domain.accounts import NewUser, Role, User
from services.identity.domain.history import FailedAttempt, LoginRecord
from services.identity.domain.names import MAX_EMAIL_LENGTH, EmailAddress, Username
from services.identity.domain.paging import DEFAULT_LIMIT, MAX_LIMIT, Page, read_cursor

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


def _cursor(text: str) -> str:
    try:
        read_cursor(text)
    except ValueError as error:
        raise PydanticCustomError("invalid_cursor", "This is {reason}.", _reason(error)) from None
    return text


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


class PasswordBody(RequestModel):
    """The password, repeated."""

    password: Secret


class RolesBody(RequestModel):
    """The roles an account shall have; `user` it always has."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)

    roles: Annotated[list[Role], Field(max_length=len(Role))]


class PageQuery(QueryModel):
    """Which part of a list is asked for."""

    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT
    cursor: Annotated[str, AfterValidator(_cursor)] | None = None

    @property
    def position(self) -> UUID | None:
        """Return the last row of the page before."""
        return None if self.cursor is None else read_cursor(self.cursor)


class UsersQuery(PageQuery):
    """Which accounts are asked for; `q` is the beginning of an address or username."""

    q: Annotated[str, StringConstraints(min_length=1, max_length=MAX_EMAIL_LENGTH)] | None = None
    role: Role | None = None


class Registered(ResponseModel):
    """The account that was made."""

    id: UUID
    email: str
    username: str
    is_verified: bool
    created_at: datetime

    @classmethod
    def of(cls, user: NewUser) -> Self:
        """Show *user*."""
        return cls(
            id=user.id,
            email=user.email,
            username=user.username,
            is_verified=user.is_verified,
            created_at=user.created_at,
        )


class ProfileView(ResponseModel):
    """An account as its owner sees it."""

    id: UUID
    email: str
    username: str
    is_verified: bool
    roles: list[str]
    created_at: datetime
    last_login: datetime | None

    @classmethod
    def of(cls, user: User) -> Self:
        """Show *user*."""
        return cls(**{name: getattr(user, name) for name in _PROFILE}, roles=sorted(user.roles))


_PROFILE = ("id", "email", "username", "is_verified", "created_at", "last_login")


class AccountView(ProfileView):
    """An account as administrators see it; `is_locked` covers both kinds of lock."""

    status: str
    is_locked: bool
    locked_until: datetime | None
    is_disabled: bool
    password_reset_required: bool
    version: int

    @classmethod
    def at(cls, user: User, now: datetime) -> Self:
        """Show *user* as of *now*: a failure lock that ran out is none."""
        until = user.locked_until if user.locked_until and user.locked_until > now else None
        return cls(
            **{name: getattr(user, name) for name in _PROFILE},
            roles=sorted(user.roles),
            status=user.status,
            is_locked=user.is_locked or until is not None,
            locked_until=until,
            is_disabled=user.is_disabled,
            password_reset_required=user.password_reset_required,
            version=user.version,
        )


class AccountPage(ResponseModel):
    """Some accounts."""

    items: list[AccountView]
    next_cursor: str | None

    @classmethod
    def of(cls, page: Page[User], now: datetime) -> Self:
        """Show *page* as of *now*."""
        items = [AccountView.at(user, now) for user in page.items]
        return cls(items=items, next_cursor=page.next_cursor)


class LoginView(ResponseModel):
    """One login, or why it was refused."""

    time: datetime
    ip: str | None
    user_agent: str | None
    outcome: str


class LoginPage(ResponseModel):
    """Some logins, newest first."""

    items: list[LoginView]
    next_cursor: str | None

    @classmethod
    def of(cls, page: Page[LoginRecord]) -> Self:
        """Show *page*."""
        items = [
            LoginView(time=r.occurred_at, ip=r.ip, user_agent=r.user_agent, outcome=r.outcome)
            for r in page.items
        ]
        return cls(items=items, next_cursor=page.next_cursor)


class FailurePage(ResponseModel):
    """Some failed logins of one account, newest first."""

    items: list[LoginView]
    next_cursor: str | None

    @classmethod
    def of(cls, page: Page[FailedAttempt]) -> Self:
        """Show *page*."""
        items = [
            LoginView(time=f.attempted_at, ip=f.ip, user_agent=f.user_agent, outcome=f.reason)
            for f in page.items
        ]
        return cls(items=items, next_cursor=page.next_cursor)
