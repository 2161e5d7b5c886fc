"""Signed assertions: who sends an internal request, on whose behalf, for exactly what (D13).

The wire form is `base64url(JSON claims).base64url(HMAC-SHA256)` in one header. Bodies are not
bound, since they are streamed: the wire is the network policy's or mTLS's to protect.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from chassis.caller import Principal
from chassis.clock import Clock
from chassis.crypto import b64decode, b64encode
from chassis.errors import Unauthenticated

HEADER = "gatehouse-assertion"
LIFETIME = timedelta(seconds=30)
LEEWAY = timedelta(seconds=30)
_MAX_LENGTH = 8192


class AssertionRequired(Unauthenticated):
    """The request came without an assertion: it did not come through the gateway."""

    code = "assertion_required"
    title = "This service answers only to its own peers."


class AssertionInvalid(Unauthenticated):
    """The assertion is forged, old, or was made for another request."""

    code = "assertion_invalid"
    title = "The caller could not prove itself."


@dataclass(frozen=True, slots=True, kw_only=True)
class Assertion:
    """What a verified assertion says."""

    issuer: str
    principal: Principal | None
    client_address: str | None
    request_id: str
    proven_sid: UUID | None


class AssertionSigner:
    """Signs the requests that *issuer* sends to *audience*, with the first of *secrets*."""

    def __init__(
        self, *, issuer: str, audience: str, secrets: Sequence[bytes], clock: Clock
    ) -> None:
        self._issuer = issuer
        self._audience = audience
        self._secret = secrets[0]
        self._clock = clock

    def sign(
        self,
        method: str,
        target: str,
        *,
        request_id: str,
        principal: Principal | None = None,
        client_address: str | None = None,
        proven_sid: UUID | None = None,
    ) -> str:
        """Return the header's value for one request; *target* is the path with its query."""
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": self._audience,
            "mth": method,
            "tgt": target,
            "rid": request_id,
            "iat": int(self._clock.now().timestamp()),
        }
        if client_address:
            claims["ip"] = client_address
        if principal:
            claims["prn"] = _principal_claims(principal)
        if proven_sid:
            claims["psid"] = str(proven_sid)
        payload = b64encode(json.dumps(claims, separators=(",", ":")).encode())
        return f"{payload}.{_mac(self._secret, payload)}"


class AssertionVerifier:
    """Verifies what arrives at *audience*; *secrets* lists every caller with its secrets."""

    def __init__(
        self, *, audience: str, secrets: Mapping[str, Sequence[bytes]], clock: Clock
    ) -> None:
        self._audience = audience
        self._secrets = {issuer: tuple(keys) for issuer, keys in secrets.items()}
        self._clock = clock

    def verify(self, value: str | None, method: str, target: str) -> Assertion:
        """Return what *value* asserts. Raises AssertionRequired, AssertionInvalid."""
        if not value:
            raise AssertionRequired
        claims = self._authentic_claims(value)
        try:
            assertion, addressed, issued = _read(claims)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, OSError):
            # Signed by a peer, but not as peers of this version write them.
            raise AssertionInvalid from None
        if addressed != (self._audience, method, target):
            raise AssertionInvalid
        if not -LEEWAY <= self._clock.now() - issued <= LIFETIME + LEEWAY:
            raise AssertionInvalid
        return assertion

    def _authentic_claims(self, value: str) -> dict[str, Any]:
        payload, _, mac = value.partition(".")
        try:
            claims: dict[str, Any] = json.loads(b64decode(payload))
            keys = self._secrets.get(claims["iss"], ())
        except (ValueError, KeyError, TypeError, RecursionError):
            raise AssertionInvalid from None
        # Nothing of the claims but the issuer's name is used before this holds.
        given = mac.encode("utf-8", "replace")  # as bytes: texts beyond ASCII cannot be compared
        authentic = [hmac.compare_digest(_mac(key, payload).encode(), given) for key in keys]
        if len(value) > _MAX_LENGTH or not any(authentic):
            raise AssertionInvalid
        return claims


def _read(claims: dict[str, Any]) -> tuple[Assertion, tuple[str, str, str], datetime]:
    """Return what *claims* say, which request they are for, and when they were made."""
    assertion = Assertion(
        issuer=claims["iss"],
        principal=_principal(claims["prn"]) if "prn" in claims else None,
        client_address=claims.get("ip"),
        request_id=claims["rid"],
        proven_sid=UUID(claims["psid"]) if "psid" in claims else None,
    )
    addressed = (claims["aud"], claims["mth"], claims["tgt"])
    return assertion, addressed, datetime.fromtimestamp(claims["iat"], UTC)


def _mac(secret: bytes, payload: str) -> str:
    return b64encode(hmac.digest(secret, payload.encode("ascii", "replace"), hashlib.sha256))


def _principal_claims(principal: Principal) -> dict[str, Any]:
    claims: dict[str, Any] = {
        "sub": str(principal.user_id),
        "sid": str(principal.session_id),
        "roles": sorted(principal.roles),
        "ver": principal.version,
    }
    if principal.auth_time:
        claims["auth_time"] = int(principal.auth_time.timestamp())
    return claims


def _principal(claims: dict[str, Any]) -> Principal:
    auth_time = claims.get("auth_time")
    return Principal(
        user_id=UUID(claims["sub"]),
        session_id=UUID(claims["sid"]),
        roles=frozenset(claims["roles"]),
        version=claims["ver"],
        auth_time=datetime.fromtimestamp(auth_time, UTC) if auth_time is not None else None,
    )
