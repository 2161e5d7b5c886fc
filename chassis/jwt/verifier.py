"""Verification of access tokens: form, header, key, signature, issuer, audience, times."""

from datetime import timedelta
from functools import lru_cache
from typing import Any, Final

from chassis.clock import Clock
from chassis.jwt.claims import AccessToken, moment, parse_claims
from chassis.jwt.compact import decoded, json_object, segments
from chassis.jwt.errors import InvalidToken, TokenExpired, UnknownKey
from chassis.jwt.keys import ALGORITHMS, KID, KeySet, VerificationKey

TOKEN_TYPE: Final = "at+jwt"
MAX_LEEWAY: Final = timedelta(seconds=30)

_HEADERS: Final = 64
_HEADER_NAMES: Final = frozenset({"alg", "kid", "typ"})


class AccessTokenVerifier:
    """Verifies access tokens of one issuer for one audience; *leeway* is at most 30 s."""

    def __init__(
        self, *, issuer: str, audience: str, clock: Clock, leeway: timedelta = MAX_LEEWAY
    ) -> None:
        if not timedelta() <= leeway <= MAX_LEEWAY:
            raise ValueError("the leeway is between 0 and 30 s")
        self._issuer = issuer
        self._audience = audience
        self._clock = clock
        self._leeway = leeway

    def verify(self, token: str, keys: KeySet) -> AccessToken:
        """Return what *token* says.

        Raises UnknownKey, TokenExpired (only of an otherwise valid token), InvalidToken.
        """
        access_token = self.read(token, keys)
        if access_token.exp + self._leeway <= self._clock.now():
            raise TokenExpired("exp")
        return access_token

    def read(self, token: str, keys: KeySet) -> AccessToken:
        """Return what an authentic token says that may have expired: it proves nothing by itself.

        Raises UnknownKey, InvalidToken.
        """
        header, payload, signature = segments(token)
        said, signed = decoded(payload), decoded(signature)
        key = _key_for(_header(header), keys)
        if not key.verifies(f"{header}.{payload}".encode(), signed):
            raise InvalidToken("signature")
        claims = json_object(said, "payload")
        if claims.get("iss") != self._issuer:
            raise InvalidToken("iss")
        if claims.get("aud") not in (self._audience, [self._audience]):
            raise InvalidToken("aud")
        if "cnf" in claims:
            # Bound to a key of its holder (RFC 9449 §6, RFC 8705 §3): nobody here asks for the
            # proof, and without it whoever stole the token could use it.
            raise InvalidToken("cnf")
        access_token = parse_claims(claims, key.kid)
        self._check_times(access_token, claims)
        return access_token

    def _check_times(self, token: AccessToken, claims: dict[str, Any]) -> None:
        latest = self._clock.now() + self._leeway
        not_before = moment(claims, "nbf") if "nbf" in claims else token.iat
        if max(token.iat, token.auth_time, not_before) > latest or token.exp <= token.iat:
            raise InvalidToken("times")


@lru_cache(_HEADERS)
def _header(segment: str) -> tuple[str, str]:
    """Read a header, the same for all tokens of a key; return the algorithm and the key it names.

    It may say only what these checks expect.
    """
    header = json_object(decoded(segment), "header")
    if set(header) != _HEADER_NAMES or header["typ"] != TOKEN_TYPE:
        raise InvalidToken("header")
    alg, kid = header["alg"], header["kid"]
    if alg not in ALGORITHMS or not isinstance(kid, str) or not KID.fullmatch(kid):
        raise InvalidToken("header")
    return alg, kid


def _key_for(header: tuple[str, str], keys: KeySet) -> VerificationKey:
    """Return the key to verify with."""
    alg, kid = header
    key = keys.find(kid)
    if key is None:
        raise UnknownKey(kid)
    if key.alg != alg:
        raise InvalidToken("algorithm")
    return key
