"""The claims of an access token, parsed into values that cannot be wrong (RFC 9068 §2.2)."""

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar
from uuid import UUID

from chassis.caller import Principal
from chassis.jwt.errors import InvalidToken

_JTI = re.compile(r"[A-Za-z0-9._-]{1,64}")
_KINDS = 256  # of roles, scopes and methods in use at once; what is shared beyond is forgotten
_SECONDS = 2048  # more than an access token lives
_LAST_SECOND = 253_402_300_799  # the end of the year 9999

T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """The claims of a verified access token (RFC 9068 §2.2); `ver` is the subject's version."""

    sub: UUID
    sid: UUID
    jti: str
    iat: datetime
    exp: datetime
    auth_time: datetime
    amr: tuple[str, ...]
    roles: frozenset[str]
    scope: str
    ver: int
    kid: str

    @property
    def principal(self) -> Principal:
        """Return the user this token speaks for."""
        return Principal(
            user_id=self.sub,
            session_id=self.sid,
            roles=self.roles,
            version=self.ver,
            auth_time=self.auth_time,
        )


def parse_claims(claims: Mapping[str, Any], kid: str) -> AccessToken:
    """Return the claims as values; what is missing or of the wrong type raises InvalidToken."""
    jti, ver, scope = claims.get("jti"), claims.get("ver"), claims.get("scope", "")
    if not isinstance(jti, str) or not _JTI.fullmatch(jti):
        raise InvalidToken("jti")
    if type(ver) is not int or ver < 0:
        raise InvalidToken("ver")
    if not isinstance(scope, str):
        raise InvalidToken("scope")
    return AccessToken(
        sub=_uuid(claims, "sub"),
        sid=_uuid(claims, "sid"),
        jti=jti,
        iat=moment(claims, "iat"),
        exp=moment(claims, "exp"),
        auth_time=moment(claims, "auth_time"),
        amr=_same(_texts(claims, "amr")),
        roles=_set_of(_texts(claims, "roles")),
        scope=_same(scope),
        ver=ver,
        kid=kid,
    )


def _uuid(claims: Mapping[str, Any], name: str) -> UUID:
    value = claims.get(name)
    try:
        parsed = UUID(value)
    except (ValueError, TypeError, AttributeError):
        raise InvalidToken(name) from None
    if str(parsed) != value:
        raise InvalidToken(name)
    return parsed


def moment(claims: Mapping[str, Any], name: str) -> datetime:
    """Return a NumericDate in whole seconds (RFC 7519 §2). Raises InvalidToken."""
    value = claims.get(name)
    if type(value) is not int or not 0 <= value <= _LAST_SECOND:
        raise InvalidToken(name)
    return _at(value)


def _texts(claims: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = claims.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InvalidToken(name)
    return tuple(value)


# Tokens that are remembered say the same of many users and moments: they share one copy of it.
# Only what a key of ours has signed comes here.


@lru_cache(maxsize=_KINDS)
def _same(value: T) -> T:
    return value


@lru_cache(maxsize=_KINDS)
def _set_of(texts: tuple[str, ...]) -> frozenset[str]:
    return frozenset(texts)


@lru_cache(maxsize=_SECONDS)
def _at(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)
