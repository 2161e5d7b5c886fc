"""What identity's events do to sessions and access tokens (D24, D25)."""

from datetime import timedelta

from chassis.clock import Clock
from chassis.database import Transaction
from chassis.inbox_rows import forget_person
from chassis.outbox import Outbox
from contracts.token import TokenRevoked
from services.token.domain.revocations import Revocation, revoked_until
from services.token.domain.subjects import SubjectChange
from services.token.models import inbox
from services.token.repository.sessions import erase_persons, lift_session, list_running
from services.token.repository.subjects import lock_subject, mark_deleted, store_subject
from services.token.service.denials import Denials
from services.token.service.endings import Endings


class SubjectChanges:
    """Applies changes of subjects, in whatever order they come, inside the inbox's transaction."""

    def __init__(
        self,
        *,
        outbox: Outbox,
        denials: Denials,
        endings: Endings,
        clock: Clock,
        access_ttl: timedelta,
    ) -> None:
        self._outbox = outbox
        self._denials = denials
        self._endings = endings
        self._clock = clock
        self._access_ttl = access_ttl

    async def apply(self, tx: Transaction, change: SubjectChange, *, actor: str | None) -> None:
        """Move the subject, and end and deny what was made before the change."""
        known = await lock_subject(tx, change.user_id)
        await store_subject(tx, known.changed(change))
        if change.ends_sessions is not None:
            await self._end_older(tx, change, actor)
        if change.roles is not None:
            await self._deny_older_roles(tx, change, actor)
        if change.erases:
            await mark_deleted(tx, change.user_id, now=self._clock.now())
            await erase_persons(tx, change.user_id)
            await forget_person(tx, inbox, change.user_id)

    async def _end_older(self, tx: Transaction, change: SubjectChange, actor: str | None) -> None:
        if change.ends_sessions is None:
            return
        if change.kept_session is not None:
            await lift_session(tx, change.user_id, change.kept_session, change.version)
        older = await list_running(tx, change.user_id, below_version=change.version)
        await self._endings.end(
            tx,
            older,
            reason=change.ends_sessions,
            now=self._clock.now(),
            caller=None,
            actor=actor,
        )

    async def _deny_older_roles(
        self, tx: Transaction, change: SubjectChange, actor: str | None
    ) -> None:
        """Refuse access tokens with the roles of before; a refresh gives the new ones."""
        entry = Revocation.of_subject(
            change.user_id,
            below_version=change.version,
            until=revoked_until(self._clock.now(), self._access_ttl),
        )
        await self._denials.add(tx, [entry])
        fact = TokenRevoked(
            kind=entry.kind,
            value=entry.value,
            below_version=entry.below_version,
            revoked_until=entry.revoked_until,
        )
        subject = str(change.user_id)
        await self._outbox.emit(tx, fact, subject=subject, caller=None, actor=actor)
