"""Rotation: a refresh token gives way to its successor, in one statement where nothing is amiss."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from chassis.caller import Caller
from chassis.database import Database, Transaction
from chassis.outbox import Outbox
from chassis.rates import Rate
from contracts.token import TokenRefreshed
from services.token.domain.refresh import Allowance
from services.token.domain.sessions import Lifetimes, Session, device_name
from services.token.domain.subjects import Subject
from services.token.refresh_secrets import RefreshSecret
from services.token.repository.refresh_tokens import (
    Claim,
    Family,
    claim,
    claim_unchanged,
    find_family,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """A refresh token, and who presents it."""

    secret: RefreshSecret
    fingerprint: bytes
    caller: Caller
    now: datetime

    def may_claim(self, family: Family, *, usable_for: timedelta) -> bool:
        """Say whether nothing but the token itself can be in the way."""
        return (
            self.caller.proven_sid in (None, family.session.id)
            and is_alive(family, self.now)
            and family.subject.age(self.now) <= usable_for
        )


@dataclass(frozen=True, slots=True)
class Renewed:
    """The newest member of a family, made now or repeated."""

    subject: Subject
    session: Session
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
        """Rotate in the usual case: two statements, no transaction around them.

        None, and nothing done, in every other: then the family must be locked and looked at.
        """
        async with self._database.statements() as each:
            family = await find_family(each, presented.secret.hash)
            if family is None or not presented.may_claim(family, usable_for=usable_for):
                return None
            if self.wait(presented, family):
                return None
            renewed, rotation = self._successor(presented, family)
            subject = str(family.subject.user_id)
            announcement = self._outbox.row(
                _fact(family), subject=subject, caller=presented.caller, actor=subject
            )
            if not await claim_unchanged(each, family, rotation, announcement):
                return None
        self._outbox.written.set()
        return renewed

    async def rotate(self, tx: Transaction, presented: Presented, family: Family) -> Renewed | None:
        """Claim the token of a locked family; None when it is not there to be claimed."""
        renewed, rotation = self._successor(presented, family)
        if not await claim(tx, rotation):
            return None
        subject = str(family.subject.user_id)
        await self._outbox.emit(
            tx, _fact(family), subject=subject, caller=presented.caller, actor=subject
        )
        return renewed

    def wait(self, presented: Presented, family: Family) -> timedelta:
        """Return how long the session has to wait for its next successor."""
        return self._allowance(family).wait(presented.now)

    def _allowance(self, family: Family) -> Allowance:
        paid_until = family.session.refreshes_paid_until
        return Allowance(self._rate.limit, self._rate.period, paid_until)

    def _successor(self, presented: Presented, family: Family) -> tuple[Renewed, Claim]:
        caller, session, now = presented.caller, family.session, presented.now
        successor = RefreshSecret.new()
        expires_at = self._lifetimes.idle_end(now, session.absolute_expires_at)
        rotation = Claim(
            spent=presented.secret.hash,
            spent_by=presented.fingerprint,
            successor=successor.hash,
            sealed_successor=presented.secret.seal_successor(successor, session.id),
            now=now,
            expires_at=expires_at,
            client_address=caller.client_address,
            user_agent=caller.user_agent,
            device=device_name(caller.user_agent),
            refreshes_paid_until=self._allowance(family).charged(now),
        )
        return Renewed(family.subject, session, successor, expires_at), rotation


def is_alive(family: Family, now: datetime) -> bool:
    """Say whether the session may still give tokens."""
    session, subject = family.session, family.subject
    in_time = session.epoch >= family.epoch
    return in_time and session.is_live(now) and subject.permits(session.subject_version)


def _fact(family: Family) -> TokenRefreshed:
    return TokenRefreshed(user_id=family.session.user_id, session_id=family.session.id)
