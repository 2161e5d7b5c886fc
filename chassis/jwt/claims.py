"""The claims of an access token, parsed into values that cannot be wrong (RFC 9068 §2.2)."""

import re
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, TypeVar
from uuid import UUID

from chassis.caller import Principal
from chassis.jwt.errors import InvalidToken

_JTI: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
# As `str` writes it: an id has one text.
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# Of roles, scopes and methods in use at once; what is shared beyond is forgotten.
_KINDS: Final = 256
_SECONDS: Final = 2048  # more than an access token lives
_LAST_SECOND: Final = 253_402_300_799  # the end of the year 9999

T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """The claims of a verified access token (RFC 9068 §2.2); `ver` is the subject's version.

    `sub` and `sid` are UUIDs as `str` writes them: they are mostly written out again.
    """

    sub: str
    sid: str
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
    def user_id(self) -> UUID:
        """Return the subject."""
        return UUID(self.sub)

    @property
    def session_id(self) -> UUID:
        """Return the session."""
        return UUID(self.sid)

    @property
    def principal(self) -> Principal:
        """Return the user this token speaks for."""
        return Principal(
            user_id=self.user_id,
            session_id=self.session_id,
            roles=self.roles,
            version=self.ver,
            auth_time=self.auth_time,
        )


def parse_claims(claims: dict[str, Any], kid: str) -> AccessToken:
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


def _uuid(claims: dict[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        raise InvalidToken(name)
    return value


def moment(claims: dict[str, Any], name: str) -> datetime:
    """Return a NumericDate in whole seconds (RFC 7519 §2). Raises InvalidToken."""
    value = claims.get(name)
    if type(value) is not int or not 0 <= value <= _LAST_SECOND:
        raise InvalidToken(name)
    return _at(value)


def _texts(claims: dict[str, Any], name: str) -> tuple[str, ...]:
    value = claims.get(name, [])
    if not isinstance(value, list):
        raise InvalidToken(name)
    for item in value:
        if not isinstance(item, str):
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
