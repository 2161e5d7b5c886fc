"""Introspection: whether a token counts at this very moment, and what it says (RFC 7662).

It reads the database, not the lagging copies that gateways keep: what a logout, a reset or a
revocation has answered for is inactive at once.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from chassis.clock import Clock
from chassis.database import Database
from chassis.jwt import AccessToken, AccessTokenVerifier, InvalidToken
from services.token.domain.clients import Client, TokenKind
from services.token.errors import UnauthorizedClient
from services.token.keys import KeyRing
from services.token.refresh_secrets import RefreshSecret
from services.token.repository.refresh_tokens import find_token
from services.token.repository.revocations import is_denied
from services.token.repository.standings import Standing, find_standing


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveToken:
    """A token that counts; `access` are the claims of one that opens resources."""

    kind: TokenKind
    user_id: UUID
    session_id: UUID
    scope: str
    expires_at: datetime
    access: AccessToken | None = None


class Introspection:
    """Tells clients of the tokens they may see; *audience* is whose this service issues."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        verifier: AccessTokenVerifier,
        keys: KeyRing,
        audience: str,
    ) -> None:
        self._database = database
        self._clock = clock
        self._verifier = verifier
        self._keys = keys
        self._audience = audience

    async def introspect(self, token: str, client: Client) -> ActiveToken | None:
        """Return what *token* is, or None for whatever does not count or is not to be seen.

        A refresh token that was spent does not count, though its client may still repeat a lost
        answer. Raises UnauthorizedClient when *client* may not introspect at all.
        """
        if not client.introspects:
            raise UnauthorizedClient("Introspection is not among the rights of this client.")
        secret = RefreshSecret.parse(token)
        kind: TokenKind = "refresh_token" if secret else "access_token"
        if kind not in client.introspects or self._audience not in client.audiences:
            return None
        return await (self._refresh_token(secret) if secret else self._access_token(token))

    async def _access_token(self, text: str) -> ActiveToken | None:
        try:
            token = self._verifier.verify(text, self._keys.key_set)
        except InvalidToken:
            return None
        now = self._clock.now()
        # The verifier's leeway is for clocks that differ from ours: its issuer needs none.
        if token.exp <= now:
            return None
        async with self._database.transaction() as tx:
            standing = await find_standing(tx, token.session_id)
            denied = await is_denied(tx, token, now=now)
        if standing is None or denied or not standing.is_alive(now):
            return None
        if standing.session.user_id != token.user_id:
            return None
        active = _active("access_token", standing, token.exp)
        return replace(active, scope=token.scope, access=token)

    async def _refresh_token(self, secret: RefreshSecret) -> ActiveToken | None:
        now = self._clock.now()
        async with self._database.transaction() as tx:
            token = await find_token(tx, secret.hash)
            standing = await find_standing(tx, token.session_id) if token else None
        if token is None or token.spent_at is not None or token.expires_at <= now:
            return None
        if standing is None or not standing.is_alive(now):
            return None
        return _active("refresh_token", standing, token.expires_at)


def _active(kind: TokenKind, standing: Standing, expires_at: datetime) -> ActiveToken:
    session = standing.session
    return ActiveToken(
        kind=kind,
        user_id=session.user_id,
        session_id=session.id,
        scope=session.scope,
        expires_at=expires_at,
    )
