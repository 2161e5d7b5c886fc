"""Failures as they are written down and told: never more of an unknown name than its hash (D16)."""

from dataclasses import dataclass
from uuid import UUID

from chassis.caller import Caller
from chassis.clock import Clock
from chassis.database import Transaction
from chassis.outbox import Outbox
from contracts.identity import LoginFailed, UserLocked
from services.identity.devices import Device
from services.identity.domain.accounts import User
from services.identity.domain.history import FailedAttempt
from services.identity.domain.lockout import LOGINS, Counter
from services.identity.repository import history, users


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One password being verified: for whom, counted where.

    `user` is None for a name nobody has; `device` is a known device of the account.
    """

    id: UUID
    key: str
    user: User | None
    name_hash: str | None
    device: Device | None
    source: str | None
    caller: Caller

    @property
    def locks_account(self) -> bool:
        """Say whether it came from outside: a known device or a session locks only itself."""
        return self.key.startswith(f"{LOGINS}:")


class Failures:
    """Writes refused attempts down, inside the transaction that counts them."""

    def __init__(self, outbox: Outbox, clock: Clock) -> None:
        self._outbox = outbox
        self._clock = clock

    async def record(
        self, tx: Transaction, attempt: Attempt, reason: str, *, is_known: bool = True
    ) -> None:
        """Write a refused attempt down, for its owner, for administrators, and as an event.

        Of a name nobody has only the keyed hash is told (D16).
        """
        now, caller = self._clock.now(), attempt.caller
        user_id = attempt.user.id if attempt.user is not None and is_known else None
        name_hash = attempt.name_hash if user_id is None else None
        await history.add_failure(
            tx,
            FailedAttempt(
                id=attempt.id,
                user_id=user_id,
                name_hash=name_hash,
                attempted_at=now,
                reason=reason,
                ip=caller.client_address,
                user_agent=caller.user_agent,
            ),
        )
        await self._outbox.emit(
            tx,
            LoginFailed(user_id=user_id, name_hash=name_hash, reason=reason),
            subject=str(user_id) if user_id is not None else f"name:{name_hash}",
            caller=caller,
        )

    async def announce_lock(self, tx: Transaction, attempt: Attempt, counter: Counter) -> None:
        """Tell others that the account is locked; `locked_until` None means until a reset."""
        if attempt.user is None:
            return
        user = await users.update(tx, attempt.user.id, locked_until=counter.locked_until)
        if user is None:
            return
        until = None if counter.is_exhausted else counter.locked_until
        await self._outbox.emit(
            tx,
            UserLocked(user_id=user.id, cause="failures", locked_until=until),
            subject=str(user.id),
            caller=attempt.caller,
            subjectversion=user.version,
        )
