"""Attempts to give a password: counted before they are verified, settled after (D6).

Every way to present a password (login, change, deletion) begins and ends here.
"""

from dataclasses import replace
from uuid import UUID

from chassis.caller import Caller
from chassis.clock import Clock
from chassis.database import Database, Transaction
from chassis.errors import Problem
from chassis.ids import uuid7
from services.identity.devices import Device, DeviceTokens
from services.identity.domain.accounts import User
from services.identity.domain.lockout import (
    CONFIRMATIONS,
    MAX_CONSECUTIVE_FAILURES,
    Limits,
    source_of,
    whole_seconds,
)
from services.identity.domain.names import MAX_EMAIL_LENGTH, fold_login_name
from services.identity.errors import AccountGone, AccountLocked, TooManyAttempts
from services.identity.name_keys import NameKeys
from services.identity.repository import counters, sources, users
from services.identity.repository.reservations import Reservation, reserve
from services.identity.service.failures import Attempt, Failures


class Attempts:
    """Reserves and settles attempts within *limits*."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        failures: Failures,
        limits: Limits,
        names: NameKeys,
        devices: DeviceTokens,
    ) -> None:
        self._database = database
        self._clock = clock
        self._failures = failures
        self._limits = limits
        self._names = names
        self._devices = devices

    async def begin_login(self, name: str, device_token: str | None, *, caller: Caller) -> Attempt:
        """Reserve a slot for whoever logs in as *name*.

        Raises TooManyAttempts, AccountLocked.
        """
        folded = fold_login_name(name[: MAX_EMAIL_LENGTH + 1])
        name_hash = self._names.of_name(folded)
        async with self._database.transaction() as tx:
            user = await users.find_by_login_name(tx, folded)
            device = self._known_device(device_token, user)
            attempt = self._attempt(user, name_hash, device, caller)
            refusal = await self._reserve(tx, attempt)
        if refusal is not None:
            raise refusal
        return attempt

    async def begin_confirmation(self, user_id: UUID, *, caller: Caller) -> Attempt:
        """Reserve a slot for a logged-in user who repeats the password.

        Counted apart from logins: a stranger who locks the account at the door must not keep its
        owner from changing the password inside, nor does a stolen session guess without bound.
        Raises AccountGone, TooManyAttempts, AccountLocked.
        """
        async with self._database.transaction() as tx:
            user = await users.find(tx, user_id)
            if user is None:
                raise AccountGone
            attempt = replace(
                self._attempt(user, None, None, caller), key=f"{CONFIRMATIONS}:{user.id}"
            )
            refusal = await self._reserve(tx, attempt)
        if refusal is not None:
            raise refusal
        return attempt

    async def release(self, attempt: Attempt) -> None:
        """Give the slot back: nothing was verified."""
        async with self._database.transaction() as tx:
            await self.release_in(tx, attempt)

    async def release_in(self, tx: Transaction, attempt: Attempt) -> None:
        """Give the slot back within *tx*: the password was right, but leads nowhere."""
        await counters.release(tx, attempt.key, attempt.id)
        if attempt.source is not None:
            await sources.release(tx, attempt.source, attempt.id)

    async def succeed(self, tx: Transaction, attempt: Attempt) -> None:
        """Give the slot back within *tx* and forget the failures before it."""
        now = self._clock.now()
        await counters.succeed(tx, attempt.key, attempt.id, now=now)
        if attempt.device is not None:
            await counters.clear_consecutive(tx, f"user:{attempt.device.user_id}")
        if attempt.source is not None:
            await sources.release(tx, attempt.source, attempt.id)

    async def fail(self, attempt: Attempt) -> None:
        """Count the wrong password; lock the account when it was the last one allowed."""
        now = self._clock.now()
        async with self._database.transaction() as tx:
            settled = await counters.fail(tx, attempt.key, attempt.id, now=now, limits=self._limits)
            await self._count_besides(tx, attempt)
            is_known = await self._hold(tx, attempt)
            if is_known and settled is not None and attempt.locks_account:
                exhausted = settled.counter.consecutive == MAX_CONSECUTIVE_FAILURES
                if settled.just_locked or exhausted:
                    await self._failures.announce_lock(tx, attempt, settled.counter)
            await self._failures.record(tx, attempt, "invalid_credentials", is_known=is_known)

    def _attempt(
        self, user: User | None, name_hash: str | None, device: Device | None, caller: Caller
    ) -> Attempt:
        if device is not None:
            key = f"device:{device.id}"
        else:
            key = f"name:{name_hash}" if user is None else f"user:{user.id}"
        return Attempt(
            id=uuid7(self._clock),
            key=key,
            user=user,
            name_hash=name_hash,
            device=device,
            source=source_of(caller.client_address),
            caller=caller,
        )

    def _known_device(self, token: str | None, user: User | None) -> Device | None:
        device = self._devices.read(token)
        if device is None or user is None or device.user_id != user.id:
            return None
        return device if device.credentials_epoch == user.credentials_epoch else None

    async def _reserve(self, tx: Transaction, attempt: Attempt) -> Problem | None:
        """Take a slot of the name and one of the source; return the refusal to commit with."""
        now = self._clock.now()
        wanted = Reservation(
            attempt=attempt.id,
            key=attempt.key,
            user_id=attempt.user.id if attempt.user is not None else None,
            source=attempt.source,
        )
        reserved = await reserve(tx, wanted, now=now, limits=self._limits)
        if attempt.source is not None and not reserved.of_source:
            # Raised, not returned: the slot of the name is undone.
            wait = await sources.wait_for(tx, attempt.source, now=now, limits=self._limits)
            raise TooManyAttempts(retry_after=whole_seconds(wait))
        if reserved.of_name and not await self._is_exhausted(tx, attempt):
            return None
        return await self._refuse(tx, attempt)

    async def _is_exhausted(self, tx: Transaction, attempt: Attempt) -> bool:
        """Say whether a known device meets an account that only a reset opens."""
        if attempt.device is None:
            return False
        counter = await counters.find_counter(tx, f"user:{attempt.device.user_id}")
        return counter is not None and counter.is_exhausted

    async def _refuse(self, tx: Transaction, attempt: Attempt) -> Problem:
        now = self._clock.now()
        await counters.release(tx, attempt.key, attempt.id)
        settled = await counters.sweep(tx, attempt.key, now=now, limits=self._limits)
        wait = settled.counter.locked_for(now, self._limits) if settled else None
        if await self._is_exhausted(tx, attempt):
            wait = self._limits.lockout
        if wait is None:
            if attempt.source is not None:
                await sources.release(tx, attempt.source, attempt.id)
            return TooManyAttempts(retry_after=1)
        if attempt.source is not None:
            await sources.fail(tx, attempt.source, attempt.id, now=now)
        is_known = await self._hold(tx, attempt)
        if is_known and settled and settled.just_locked and attempt.locks_account:
            await self._failures.announce_lock(tx, attempt, settled.counter)
        await self._failures.record(tx, attempt, AccountLocked.code, is_known=is_known)
        return AccountLocked(retry_after=whole_seconds(wait))

    async def _hold(self, tx: Transaction, attempt: Attempt) -> bool:
        """Say whether the name is somebody's, still; asked at the same cost for every name."""
        held = attempt.id if attempt.user is None else attempt.user.id
        return await users.hold(tx, held) and attempt.user is not None

    async def _count_besides(self, tx: Transaction, attempt: Attempt) -> None:
        """Count a failure also for the account behind a device, and for the source."""
        now = self._clock.now()
        if attempt.device is not None:
            owner = attempt.device.user_id
            await counters.count_consecutive(tx, f"user:{owner}", user_id=owner, now=now)
        if attempt.source is not None:
            await sources.fail(tx, attempt.source, attempt.id, now=now)
