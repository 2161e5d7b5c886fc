"""What token tells others: facts about sessions, refresh tokens and signing keys."""

from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

from contracts.envelope import EventData

EndReason = Literal[
    "logout",
    "logout_all",
    "replaced",
    "refresh_token_reused",
    "password_reset",
    "password_reset_forced",
    "password_changed",
    "user_locked",
    "user_disabled",
    "user_deleted",
    "admin",
    "expired",
    "revoked",
    "revoke_all",
]


class SessionEvent(EventData):
    """A fact about one session of one user."""

    user_id: UUID
    session_id: UUID


class SessionStarted(SessionEvent):
    """Somebody is logged in."""

    type: ClassVar[str] = "token.session.started.v1"
    amr: tuple[str, ...]


class SessionEnded(SessionEvent):
    """The session and all its tokens are dead; the gateway refuses them from now on."""

    type: ClassVar[str] = "token.session.ended.v1"
    reason: EndReason
    revoked_until: datetime
    """When the last access token of the session has run out, and the entry may be forgotten."""


class TokenRefreshed(SessionEvent):
    """A refresh token was rotated."""

    type: ClassVar[str] = "token.token.refreshed.v1"


class RefreshFailed(SessionEvent):
    """A refresh token was refused because its session is over.

    A token that nobody was ever given names nobody and makes no event.
    """

    type: ClassVar[str] = "token.refresh.failed.v1"


class RefreshTokenReused(SessionEvent):
    """A spent refresh token came back: two parties hold it, so the family was ended."""

    type: ClassVar[str] = "token.refresh_token.reused.v1"


class SessionsRevoked(EventData):
    """Everybody was logged out: no session that began before, and no token of it, counts any more.

    `token.session.ended.v1` follows for each session, as fast as that can be told.
    """

    type: ClassVar[str] = "token.sessions.revoked.v1"
    epoch: int
    """How often that has happened."""
    revoked_at: datetime
    reason: str


class TokenRevoked(EventData):
    """An entry of the deny list (D12): one of `jti`, `sid`, or `sub` with every `ver` below."""

    type: ClassVar[str] = "token.token.revoked.v1"
    kind: Literal["jti", "sid", "sub"]
    value: str
    below_version: int | None = None
    revoked_until: datetime


class ClientAuthenticationFailed(EventData):
    """Somebody said to be a confidential client and could not prove it.

    `client_id` is None for one that does not exist: people type secrets there. At most ten a minute
    are told from one address.
    """

    type: ClassVar[str] = "token.client.authentication_failed.v1"
    client_id: str | None
    reason: Literal["unknown_client", "wrong_secret"]


class SigningKeyRotated(EventData):
    """Another key signs from now on; refetch the JWKS."""

    type: ClassVar[str] = "token.signing_key.rotated.v1"
    kid: str
    previous_kid: str | None


class SigningKeyRotationRequested(EventData):
    """An administrator wants the key replaced: the successor is published and signs later."""

    type: ClassVar[str] = "token.signing_key.rotation_requested.v1"
    kid: str
    successor_kid: str
    signs_at: datetime
    """When the successor signs at the earliest."""


class SigningKeyRevoked(EventData):
    """Nobody may trust this key any more: forget it now, and refuse every token it signed."""

    type: ClassVar[str] = "token.signing_key.revoked.v1"
    kid: str
    successor_kid: str | None
    """What signs in its place; None when it did not sign any more, or not yet."""
    reason: str


EVENTS: tuple[type[EventData], ...] = (
    SessionStarted,
    SessionEnded,
    TokenRefreshed,
    RefreshFailed,
    RefreshTokenReused,
    SessionsRevoked,
    TokenRevoked,
    ClientAuthenticationFailed,
    SigningKeyRotated,
    SigningKeyRotationRequested,
    SigningKeyRevoked,
)
