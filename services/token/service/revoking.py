"""Revocation of one token at a client's wish (RFC 7009)."""

import re

from chassis.caller import Caller
from chassis.clock import Clock
from chassis.database import Database
from chassis.jwt import AccessToken, AccessTokenVerifier, InvalidToken
from contracts.token import TokenRevoked
from services.token.domain.clients import Client
from services.token.domain.revocations import Revocation
from services.token.errors import UnauthorizedClient, UnsupportedTokenType
from services.token.keys import KeyRing
from services.token.refresh_secrets import RefreshSecret
from services.token.repository.refresh_tokens import find_token
from services.token.repository.revocations import is_denied
from services.token.repository.sessions import lock_session
from services.token.service.endings import Endings

# Devices, mailed links, clients' own secrets: ours as well, and not ended by being shown here.
_OTHER_KINDS = re.compile(r"gh_(?!rt_)[a-z]{2}_")


class Revoking:
    """Ends tokens for clients; *audience* is whose tokens this service issues."""

    def __init__(
        self,
        *,
        database: Database,
        endings: Endings,
        clock: Clock,
        verifier: AccessTokenVerifier,
        keys: KeyRing,
        audience: str,
    ) -> None:
        self._database = database
        self._endings = endings
        self._clock = clock
        self._verifier = verifier
        self._keys = keys
        self._audience = audience

    async def revoke(self, token: str, client: Client, *, caller: Caller) -> None:
        """End *token*: an access token alone, with a refresh token its whole session.

        What has ended already, or never was a token, changes nothing. Raises UnauthorizedClient
        when *client* may not revoke it, UnsupportedTokenType for secrets of ours that are no
        tokens of a session.
        """
        if not client.revokes:
            raise UnauthorizedClient("Revocation is not among the rights of this client.")
        if _OTHER_KINDS.match(token):
            raise UnsupportedTokenType
        if self._audience not in client.audiences:
            raise UnauthorizedClient("The audience of these tokens is not this client's.")
        secret = RefreshSecret.parse(token)
        if secret is not None:
            await self._end_session(secret, client, caller)
            return
        try:
            access = self._verifier.verify(token, self._keys.key_set)
        except InvalidToken:
            return
        await self._deny(access, client, caller)

    async def _end_session(self, secret: RefreshSecret, client: Client, caller: Caller) -> None:
        """End the session of any member of the family that has not expired, also a spent one."""
        now = self._clock.now()
        async with self._database.transaction() as tx:
            token = await find_token(tx, secret.hash)
            if token is None or token.expires_at <= now:
                return
            session = await lock_session(tx, token.session_id)
            if session is None or not session.is_live(now):
                return
            await self._endings.end(
                tx, [session], reason="revoked", now=now, caller=caller, actor=client.actor
            )

    async def _deny(self, token: AccessToken, client: Client, caller: Caller) -> None:
        """Put one access token on the deny list, once; its session goes on."""
        now = self._clock.now()
        async with self._database.transaction() as tx:
            # Two revocations of one token wait here for each other.
            session = await lock_session(tx, token.session_id)
            if session is None or session.ended_at or await is_denied(tx, token, now=now):
                return
            entry = Revocation.of_token(token.jti, token.exp)
            await self._endings.denials.add(tx, [entry])
            fact = TokenRevoked(
                kind=entry.kind, value=entry.value, revoked_until=entry.revoked_until
            )
            await self._endings.outbox.emit(
                tx, fact, subject=token.sub, caller=caller, actor=client.actor
            )
