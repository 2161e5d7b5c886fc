"""Who calls: the access token of a request, verified, alive, and fit for the route (RFC 6750)."""

import re
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from chassis.jwt import (
    AccessToken,
    AccessTokenVerifier,
    InvalidToken,
    KeySet,
    TokenExpired,
    UnknownKey,
)
from gateway.access import check_access
from gateway.browser.mode import Credentials
from gateway.denylist import DenyList
from gateway.keys import KeyStore
from gateway.routing.table import Route
from gateway.tokens import VerifiedTokens, digest_of

# RFC 6750 §2.1: what comes after the scheme.
_B64TOKEN: Final = re.compile(r"[A-Za-z0-9\-._~+/]+=*")


class Authentication:
    """Verifies access tokens, each text once, and asks the deny list on every use."""

    def __init__(
        self,
        verifier: AccessTokenVerifier,
        keys: KeyStore,
        denylist: DenyList,
        tokens: VerifiedTokens,
    ) -> None:
        self._verifier = verifier
        self._keys = keys
        self._denylist = denylist
        self._tokens = tokens

    async def token(self, route: Route, credentials: Credentials) -> AccessToken | None:
        """Return the token that says who calls *route*, or None for nobody.

        Raises TokenRequired, InvalidToken, TokenExpired, TokenRevoked, TokenStale, RoleMissing,
        ScopeMissing, KeysUnavailable.
        """
        if route.access == "public":
            return None
        if route.access == "optional":
            return await self._any_of_ours(route, credentials)
        text = _said_by_bearer(credentials.authorization)
        token = await self._verified(text) if text is not None else None
        self._check(route, token)
        return token

    def token_at_once(self, route: Route, authorization: Sequence[str]) -> AccessToken | None:
        """Return what `token` does for a route that is not for anybody, by the keys that are known.

        Raises as `token` does, and UnknownKey where that would ask for newer keys first.
        """
        text = _said_by_bearer(authorization)
        token = self._verified_at_once(text) if text is not None else None
        self._check(route, token)
        return token

    async def session_of(self, cookie: str) -> UUID | None:
        """Return whose session an access cookie is of, also when it has expired or ended.

        Raises KeysUnavailable.
        """
        try:
            return (await self._verified(cookie)).session_id
        except TokenExpired:
            return self._verifier.read(cookie, self._keys.current()).session_id
        except InvalidToken:
            return None

    def is_known(self, authorization: Sequence[str]) -> bool:
        """Say whether the header has a token that was verified before and is not denied."""
        text = _said_by_bearer(authorization)
        token = self._tokens.find(digest_of(text)) if text is not None else None
        return token is not None and self._denylist.refusal(token) is None

    async def _any_of_ours(self, route: Route, credentials: Credentials) -> AccessToken | None:
        """Return the token, or None when it has expired or its session has ended.

        An ended session may still be logged out, for doing so twice is no error; everywhere else it
        proves nothing any more. Nor does a cookie that is none of ours: nobody wrote it by hand,
        nobody can correct it.
        """
        try:
            text = _said_by_bearer(credentials.authorization)
            token = await self._verified(text) if text is not None else None
        except TokenExpired:
            return None
        except InvalidToken:
            if not credentials.in_browser:
                raise
            return None
        ended = token and route.session is None and self._denylist.refusal(token)
        return None if ended else token

    def _check(self, route: Route, token: AccessToken | None) -> None:
        """Let *token* open *route*, if it lives. Raises what `token` says."""
        refusal = self._denylist.refusal(token) if token else None
        if refusal:
            raise refusal
        check_access(route, token)

    async def _verified(self, text: str) -> AccessToken:
        try:
            return self._verified_at_once(text)
        except UnknownKey as error:
            keys = await self._keys.find_unknown(error.kid)
            if keys is None:
                raise
            return self._verify(text, digest_of(text), keys)

    def _verified_at_once(self, text: str) -> AccessToken:
        digest = digest_of(text)
        known = self._tokens.find(digest)
        return known if known is not None else self._verify(text, digest, self._keys.current())

    def _verify(self, text: str, digest: bytes, keys: KeySet) -> AccessToken:
        if not _B64TOKEN.fullmatch(text):
            raise InvalidToken("form")
        token = self._verifier.verify(text, keys)
        self._tokens.add(digest, token)
        return token


def _said_by_bearer(authorization: Sequence[str]) -> str | None:
    """Return what the Authorization header says after Bearer, or None when there is no Bearer.

    Its form is judged where it is verified: what was verified before has it. More than one header
    was refused before.
    """
    if not authorization:
        return None
    scheme, _, said = authorization[0].partition(" ")
    return said.lstrip(" ") if scheme.lower() == "bearer" else None
