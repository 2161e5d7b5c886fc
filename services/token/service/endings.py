"""Ending sessions: the row, the deny list and the event, always together."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from chassis.caller import Caller
from chassis.database import Transaction
from chassis.outbox import Outbox
from contracts.token import EndReason, SessionEnded
from services.token.domain.revocations import Revocation, revoked_until
from services.token.domain.sessions import Session
from services.token.repository.sessions import mark_ended
from services.token.service.denials import Denials


@dataclass(frozen=True, slots=True)
class Endings:
    """Ends sessions inside the transaction of what is the reason for it."""

    outbox: Outbox
    denials: Denials
    access_ttl: timedelta

    async def end(
        self,
        tx: Transaction,
        sessions: Sequence[Session],
        *,
        reason: EndReason,
        now: datetime,
        caller: Caller | None,
        actor: str | None = None,
        denied: bool = True,
    ) -> int:
        """End those of *sessions* that still run: deny their `sid`, say so; return how many.

        Without *denied* their access tokens are refused already, and no entry is needed.
        """
        if not sessions:
            return 0
        ended = await mark_ended(tx, [s.id for s in sessions], reason=reason, now=now)
        until = revoked_until(now, self.access_ttl) if denied else now
        if denied:
            entries = [Revocation.of_session(session_id, until) for session_id in sorted(ended)]
            await self.denials.add(tx, entries)
        for session in sessions:
            if session.id in ended:
                fact = SessionEnded(
                    user_id=session.user_id,
                    session_id=session.id,
                    reason=reason,
                    revoked_until=until,
                )
                await self.outbox.emit(
                    tx, fact, subject=str(session.user_id), caller=caller, actor=actor
                )
        return len(ended)
