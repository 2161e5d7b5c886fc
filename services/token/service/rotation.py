"""Rotation: a refresh token gives way to its successor, in one statement where nothing is amiss."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from chassis.caller import Caller
from chassis.database import Database, Transaction
from chassis.outbox import Outbox
from contracts.token import TokenRefreshed
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
    """Makes successors."""

    def __init__(self, *, database: Database, outbox: Outbox, lifetimes: Lifetimes) -> None:
        self._database = database
        self._outbox = outbox
        self._lifetimes = lifetimes

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
        )
        return Renewed(family.subject, session, successor, expires_at), rotation


def is_alive(family: Family, now: datetime) -> bool:
    """Say whether the session may still give tokens."""
    return family.session.is_live(now) and family.subject.permits(family.session.subject_version)


def _fact(family: Family) -> TokenRefreshed:
    return TokenRefreshed(user_id=family.session.user_id, session_id=family.session.id)
