"""Rotation: a refresh token gives way to its successor, in one statement where nothing is amiss."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from chassis.caller import Caller
from chassis.database import Database, Transaction
from chassis.outbox import Outbox
from chassis.rates import Rate
from contracts.token import TokenRefreshed
from services.token.domain.grants import Grant
from services.token.domain.refresh import Allowance
from services.token.domain.sessions import Lifetimes, device_name
from services.token.refresh_secrets import RefreshSecret
from services.token.repository.refresh_tokens import Family
from services.token.repository.rotations import Claim, Conditions, claim, claim_at_once

# What the statement that rotates knows better: whose session it is.
_FILLED_IN = UUID(int=0)
_ANY_REFRESH = TokenRefreshed(user_id=_FILLED_IN, session_id=_FILLED_IN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """A refresh token, and who presents it."""

    secret: RefreshSecret
    fingerprint: bytes
    caller: Caller
    now: datetime


@dataclass(frozen=True, slots=True)
class Renewed:
    """The newest member of a family, made now or repeated."""

    grant: Grant
    secret: RefreshSecret
    expires_at: datetime


class Rotation:
    """Makes successors, as many as *rate* lets one session have."""

    def __init__(
        self, *, database: Database, outbox: Outbox, lifetimes: Lifetimes, rate: Rate
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._lifetimes = lifetimes
        self._rate = rate

    async def rotate_at_once(
        self, presented: Presented, *, usable_for: timedelta
    ) -> Renewed | None:
        """Rotate in the usual case: one statement, no transaction around it.

        None, and nothing done, in every other: then the family must be locked and looked at.
        """
        secret, rotation = self._successor(presented)
        allowance = Allowance(self._rate.limit, self._rate.period)
        conditions = Conditions(
            checked_since=presented.now - usable_for,
            paid_by=allowance.latest(presented.now),
            proven_sid=presented.caller.proven_sid,
        )
        announcement = self._outbox.row(
            _ANY_REFRESH, subject=str(_FILLED_IN), caller=presented.caller
        )
        async with self._database.statements() as each:
            grant = await claim_at_once(each, rotation, conditions, announcement)
        if grant is None:
            return None
        self._outbox.written.set()
        return self._renewed(presented, grant, secret)

    async def rotate(self, tx: Transaction, presented: Presented, family: Family) -> Renewed | None:
        """Claim the token of a locked family; None when it is not there to be claimed."""
        secret, rotation = self._successor(presented)
        if not await claim(tx, rotation):
            return None
        subject = str(family.subject.user_id)
        await self._outbox.emit(
            tx, _fact(family), subject=subject, caller=presented.caller, actor=subject
        )
        return self._renewed(presented, family.grant, secret)

    def wait(self, presented: Presented, family: Family) -> timedelta:
        """Return how long the session has to wait for its next successor."""
        paid_until = family.session.refreshes_paid_until
        return Allowance(self._rate.limit, self._rate.period, paid_until).wait(presented.now)

    def _successor(self, presented: Presented) -> tuple[RefreshSecret, Claim]:
        caller, now = presented.caller, presented.now
        successor = RefreshSecret.new()
        return successor, Claim(
            spent=presented.secret.hash,
            spent_by=presented.fingerprint,
            successor=successor.hash,
            sealed_successor=presented.secret.seal_successor(successor),
            now=now,
            idle_end=now + self._lifetimes.idle,
            client_address=caller.client_address,
            user_agent=caller.user_agent,
            device=device_name(caller.user_agent),
            charge=Allowance(self._rate.limit, self._rate.period).interval,
        )

    def _renewed(self, presented: Presented, grant: Grant, secret: RefreshSecret) -> Renewed:
        expires_at = self._lifetimes.idle_end(presented.now, grant.absolute_expires_at)
        return Renewed(grant, secret, expires_at)


def is_alive(family: Family, now: datetime) -> bool:
    """Say whether the session may still give tokens."""
    session, subject = family.session, family.subject
    in_time = session.epoch >= family.epoch
    return in_time and session.is_live(now) and subject.permits(session.subject_version)


def _fact(family: Family) -> TokenRefreshed:
    return TokenRefreshed(user_id=family.session.user_id, session_id=family.session.id)
