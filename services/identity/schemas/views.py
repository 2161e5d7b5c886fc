"""What goes out, and nothing more."""

from datetime import datetime
from typing import Self
from uuid import UUID

from chassis.http import ResponseModel
from chassis.paging import Page
from services.identity.domain.accounts import NewUser, User
from services.identity.domain.history import FailedAttempt, LoginRecord


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
