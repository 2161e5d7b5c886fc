"""Refresh: rotation that a lost answer survives and a thief does not (D3, RFC 9700 §4.14)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from uuid import UUID

from chassis.caller import Caller
from chassis.clock import Clock
from chassis.database import Database, Transaction
from chassis.internal import DependencyUnavailable
from chassis.outbox import Outbox
from chassis.rates import Rate
from contracts.token import RefreshFailed, RefreshTokenReused
from services.token.domain.refresh import Decision, RefreshToken, decide
from services.token.domain.sessions import Session
from services.token.domain.subjects import FRESH_FOR, USABLE_FOR
from services.token.errors import (
    CsrfTokenForeign,
    InvalidRefreshToken,
    TooManyRefreshes,
    UnknownRefreshToken,
)
from services.token.refresh_secrets import RefreshSecret, client_fingerprint
from services.token.repository.refresh_tokens import (
    Family,
    find_family,
    find_token,
    lock_family,
)
from services.token.service.endings import Endings
from services.token.service.issuing import Issued, Issuing
from services.token.service.rotation import Presented, Renewed, Rotation, is_alive
from services.token.service.subject_cache import SubjectCache


@dataclass(frozen=True, slots=True)
class _Stale:
    """Identity must be asked before this subject's tokens are renewed."""

    user_id: UUID
    age: timedelta


class Refresh:
    """Rotates refresh tokens; *grace* is how long a lost answer can be had again.

    *rate* is how often one session may: so many of its rows are there at most.
    """

    def __init__(
        self,
        *,
        database: Database,
        outbox: Outbox,
        endings: Endings,
        issuing: Issuing,
        subjects: SubjectCache,
        clock: Clock,
        grace: timedelta,
        rate: Rate,
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._endings = endings
        self._issuing = issuing
        self._subjects = subjects
        self._clock = clock
        self._grace = grace
        self._rate = rate
        self._rotation = Rotation(
            database=database, outbox=outbox, lifetimes=issuing.lifetimes, rate=rate
        )

    async def refresh(
        self, refresh_token: str, device_token: str | None, *, caller: Caller
    ) -> Issued:
        """Give a new pair of tokens for *refresh_token*, or the same again for a lost answer.

        Raises CsrfTokenForeign when the caller proved another session than the token's, and
        InvalidRefreshToken for whatever is not accepted; the whole family is ended when
        the token shows that two parties hold it. Raises TooManyRefreshes, which spends nothing,
        DependencyUnavailable when roles cannot be confirmed for longer than they may be used,
        SigningKeyMissing.
        """
        issuer = self._issuing.issuer
        secret = RefreshSecret.parse(refresh_token)
        if secret is None:
            raise UnknownRefreshToken
        presented = Presented(
            secret=secret,
            fingerprint=client_fingerprint(device_token, caller.user_agent),
            caller=caller,
            now=self._clock.now(),
        )
        renewed = await self._renew(presented, usable_for=FRESH_FOR)
        if isinstance(renewed, _Stale):
            await self._confirm(renewed, caller)
            renewed = await self._renew(presented, usable_for=USABLE_FOR)
        if not isinstance(renewed, Renewed):
            raise InvalidRefreshToken
        return self._issuing.issue(
            renewed.grant,
            renewed.secret,
            issuer=issuer,
            refresh_expires_at=renewed.expires_at,
            now=presented.now,
        )

    async def _confirm(self, stale: _Stale, caller: Caller) -> None:
        try:
            await self._subjects.confirm(stale.user_id, caller=caller)
        except DependencyUnavailable:
            if stale.age > USABLE_FOR:
                raise

    async def _renew(
        self, presented: Presented, *, usable_for: timedelta
    ) -> Renewed | _Stale | None:
        """Rotate or repeat; None when the token is refused."""
        at_once = await self._rotation.rotate_at_once(presented, usable_for=usable_for)
        if at_once is not None:
            return at_once
        if stale := await self._find_stale(presented, usable_for):
            return stale
        async with self._database.transaction() as tx:
            family = await lock_family(tx, presented.secret.hash)
            if family is None:
                raise UnknownRefreshToken
            if presented.caller.proven_sid not in (None, family.session.id):
                raise CsrfTokenForeign
            if not is_alive(family, presented.now):
                await self._refuse(tx, presented, family.session)
                return None
            if stale := _stale(family, presented.now, usable_for):
                return stale
            wait = self._rotation.wait(presented, family)
            rotated = None if wait else await self._rotation.rotate(tx, presented, family)
            return rotated or await self._decide(tx, presented, family, wait)

    async def _find_stale(self, presented: Presented, usable_for: timedelta) -> _Stale | None:
        """Say whether it is identity that has to be asked first, as it is for most clients."""
        async with self._database.statements() as each:
            family = await find_family(each, presented.secret.hash)
        if family is None or not is_alive(family, presented.now):
            return None
        return _stale(family, presented.now, usable_for)

    async def _decide(
        self, tx: Transaction, presented: Presented, family: Family, wait: timedelta
    ) -> Renewed | None:
        """Say what a token that was not claimed means, and act on it.

        A repeat makes no row, and a theft is told however often the session was refreshed.
        """
        token = await find_token(tx, presented.secret.hash)
        if token is None:
            return None
        decision = decide(token, now=presented.now, client=presented.fingerprint, grace=self._grace)
        if decision is Decision.REPEAT:
            return await self._repeat(tx, presented, family, token)
        if decision is Decision.REUSED:
            await self._end_family(tx, presented, family.session)
        if decision is Decision.ROTATE and wait:
            raise TooManyRefreshes(self._rate, retry_after=ceil(wait.total_seconds()))
        return None

    async def _refuse(self, tx: Transaction, presented: Presented, session: Session) -> None:
        """Say that somebody came with a token that once was good."""
        fact = RefreshFailed(user_id=session.user_id, session_id=session.id)
        subject = str(session.user_id)
        await self._outbox.emit(tx, fact, subject=subject, caller=presented.caller)

    async def _repeat(
        self, tx: Transaction, presented: Presented, family: Family, token: RefreshToken
    ) -> Renewed | None:
        box = token.sealed_successor or ""
        secret = presented.secret.unseal_successor(box)
        successor = await find_token(tx, secret.hash)
        if successor is None or successor.expires_at <= presented.now:
            return None
        return Renewed(family.grant, secret, successor.expires_at)

    async def _end_family(self, tx: Transaction, presented: Presented, session: Session) -> None:
        fact = RefreshTokenReused(user_id=session.user_id, session_id=session.id)
        subject = str(session.user_id)
        await self._outbox.emit(tx, fact, subject=subject, caller=presented.caller)
        await self._endings.end(
            tx,
            [session],
            reason="refresh_token_reused",
            now=presented.now,
            caller=presented.caller,
        )


def _stale(family: Family, now: datetime, usable_for: timedelta) -> _Stale | None:
    age = family.subject.age(now)
    return _Stale(family.subject.user_id, age) if age > usable_for else None
