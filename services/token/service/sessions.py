"""Logout, and the user's own list of sessions."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from chassis.caller import Caller, Principal
from chassis.clock import Clock
from chassis.database import Database, Transaction
from chassis.jwt import AccessTokenVerifier, TokenExpired
from chassis.paging import Page
from contracts.token import EndReason
from services.token.domain.sessions import Session
from services.token.errors import (
    CsrfTokenForeign,
    ForeignSession,
    LoginRequired,
    SessionNotFound,
    UnknownRefreshToken,
)
from services.token.keys import KeyRing
from services.token.refresh_secrets import RefreshSecret
from services.token.repository.refresh_tokens import find_token
from services.token.repository.sessions import find_session, list_live, list_running
from services.token.repository.subjects import lock_subject
from services.token.service.endings import Endings


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a logout came with; `access_token` counts when the gateway found no principal in it.

    `in_browser` says that cookies came, which may hold anything: what proves nothing there is
    nobody's mistake.
    """

    caller: Caller
    in_browser: bool = False
    refresh_token: str | None = field(default=None, repr=False)
    access_token: str | None = field(default=None, repr=False)


class Sessions:
    """Lists and ends sessions at their user's wish."""

    def __init__(
        self,
        *,
        database: Database,
        endings: Endings,
        clock: Clock,
        verifier: AccessTokenVerifier,
        keys: KeyRing,
    ) -> None:
        self._database = database
        self._endings = endings
        self._clock = clock
        self._verifier = verifier
        self._keys = keys

    async def log_out(self, credentials: Credentials, *, every_session: bool) -> None:
        """End the session that *credentials* are of, or all sessions of its user.

        Credentials that have expired, or whose session is over, change nothing.
        Raises LoginRequired when there are none at all, InvalidToken and InvalidRefreshToken for
        what never was one, CsrfTokenForeign for the cookies of another session than the proven.
        """
        principal = self._principal_of(credentials)
        secret = RefreshSecret.parse(credentials.refresh_token or "")
        known = secret or principal or credentials.in_browser
        if credentials.refresh_token is not None and not known:
            raise UnknownRefreshToken
        caller, now = credentials.caller, self._clock.now()
        async with self._database.transaction() as tx:
            proven = await self._proven(tx, secret, principal, now)
            if any(caller.proven_sid not in (None, session.id) for session in proven):
                raise CsrfTokenForeign
            reason: EndReason = "logout"
            if every_session and proven:
                reason = "logout_all"
                proven = await self._all_of(tx, proven[0].user_id)
            await self._end(tx, proven, reason, caller, now)

    async def list_own(
        self, principal: Principal, *, limit: int, before: UUID | None
    ) -> Page[Session]:
        """Return live sessions of the user, the newest first.

        Their order is that in which they began: what is used meanwhile moves on no other page.
        """
        now, user_id = self._clock.now(), principal.user_id
        async with self._database.transaction() as tx:
            return await list_live(tx, user_id, now=now, limit=limit, before=before)

    async def end_one(self, session_id: UUID, principal: Principal, *, caller: Caller) -> None:
        """End one session of the user. Raises SessionNotFound, also for those of others."""
        now = self._clock.now()
        async with self._database.transaction() as tx:
            session = await find_session(tx, session_id)
            if session is None or session.user_id != principal.user_id:
                raise ForeignSession
            if session.ended_at:
                raise SessionNotFound
            own: EndReason = "logout" if session_id == principal.session_id else "revoked"
            await self._end(tx, [session], own, caller, now)

    async def end_others(self, principal: Principal, *, caller: Caller) -> None:
        """End every session of the user but the one that asks."""
        async with self._database.transaction() as tx:
            running = await self._all_of(tx, principal.user_id)
            others = [session for session in running if session.id != principal.session_id]
            await self._end(tx, others, "revoked", caller, self._clock.now())

    def _principal_of(self, credentials: Credentials) -> Principal | None:
        """Return whose access token it is; None when only a refresh token tells, or nothing."""
        token, principal = credentials.access_token, credentials.caller.principal
        if principal or credentials.in_browser:
            return principal
        if token is None:
            if credentials.refresh_token is None:
                raise LoginRequired
            return None
        try:
            return self._verifier.verify(token, self._keys.key_set).principal
        except TokenExpired:
            return None

    async def _proven(
        self,
        tx: Transaction,
        secret: RefreshSecret | None,
        principal: Principal | None,
        now: datetime,
    ) -> list[Session]:
        """Return the live sessions that the credentials are of: one, or two of one user."""
        ids = {principal.session_id} if principal else set()
        token = await find_token(tx, secret.hash) if secret else None
        if token and token.expires_at > now:
            ids.add(token.session_id)
        found = [await find_session(tx, session_id) for session_id in sorted(ids)]
        owner = principal.user_id if principal else None
        return [
            session
            for session in found
            if session and session.is_live(now) and owner in (None, session.user_id)
        ]

    async def _all_of(self, tx: Transaction, user_id: UUID) -> list[Session]:
        """Return all running sessions of a user; a login in flight waits and is not among them."""
        await lock_subject(tx, user_id)
        return list(await list_running(tx, user_id))

    async def _end(
        self,
        tx: Transaction,
        sessions: Sequence[Session],
        reason: EndReason,
        caller: Caller,
        now: datetime,
    ) -> None:
        actor = str(sessions[0].user_id) if sessions else None
        await self._endings.end(tx, sessions, reason=reason, now=now, caller=caller, actor=actor)
