"""The bodies about signing keys; a private half is in none of them."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field

from chassis.http import RequestModel, ResponseModel
from services.token.domain.keys import MAX_REASON, KeyState, RevokedKey
from services.token.service.key_operations import Overview, RequestedRotation


class KeyRotationRequest(RequestModel):
    """Nothing: there is nothing to choose."""


class KeyRevocationRequest(RequestModel):
    """Why the key is taken away: it stands in the list and in the audit log."""

    reason: Annotated[str, Field(min_length=1, max_length=MAX_REASON, pattern=r"\S")]


class SigningKeyView(ResponseModel):
    """One key of the JWKS; `alg` as in its tokens, times where they are known."""

    kid: str
    alg: str
    state: KeyState
    published_at: datetime
    activated_at: datetime | None
    retired_at: datetime | None
    leaves_at: datetime | None


class RevokedKeyView(ResponseModel):
    """One key nobody may trust any more; `successor` signs in its place, if it signed."""

    kid: str
    alg: str
    published_at: datetime
    activated_at: datetime | None
    retired_at: datetime | None
    revoked_at: datetime
    successor: str | None
    reason: str

    @classmethod
    def of(cls, key: RevokedKey) -> Self:
        """Render a revoked key."""
        return cls(
            kid=key.kid,
            alg=key.algorithm,
            published_at=key.published_at,
            activated_at=key.activated_at,
            retired_at=key.retired_at,
            revoked_at=key.revoked_at,
            successor=key.successor,
            reason=key.reason,
        )


class SigningKeysResponse(ResponseModel):
    """The keys of the JWKS, oldest first, and those revoked of late, newest first.

    `next_rotation_at` is when another key is to sign, if nobody asks for it sooner.
    """

    keys: list[SigningKeyView]
    revoked: list[RevokedKeyView]
    next_rotation_at: datetime | None

    @classmethod
    def of(cls, overview: Overview) -> Self:
        """Render what there is."""
        keys = [
            SigningKeyView(
                kid=life.kid,
                alg=life.algorithm,
                state=life.state,
                published_at=life.published_at,
                activated_at=life.activated_at,
                retired_at=life.retired_at,
                leaves_at=overview.leaves_at(life),
            )
            for life in overview.found.lives
        ]
        return cls(
            keys=keys,
            revoked=[RevokedKeyView.of(key) for key in overview.revoked],
            next_rotation_at=overview.hands_over_at,
        )


class KeyRotationResponse(ResponseModel):
    """The key that signs, the one that will, and from when on it does."""

    kid: str
    successor: str
    signs_at: datetime

    @classmethod
    def of(cls, wanted: RequestedRotation) -> Self:
        """Render what was asked for."""
        return cls(kid=wanted.kid, successor=wanted.successor_kid, signs_at=wanted.signs_at)
