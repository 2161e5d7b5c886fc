"""Authentication: are these credentials good, and may their owner come in (D6, D7)."""

import time
from datetime import datetime
from typing import NoReturn, TypedDict

from chassis.caller import Caller
from chassis.clock import Clock
from chassis.database import Database
from chassis.errors import Problem
from chassis.logs import get_logger
from chassis.outbox import Outbox
from contracts.identity import DeviceAdded, LoginSucceeded
from contracts.internal import AuthenticateRequest, AuthenticateResponse
from services.identity.devices import DeviceTokens
from services.identity.domain.accounts import Standing, User, standing
from services.identity.domain.history import SUCCEEDED, LoginRecord
from services.identity.domain.one_time_tokens import CHANGE_LIFE
from services.identity.errors import (
    AccountDisabled,
    EmailNotVerified,
    HashingOverloaded,
    InvalidCredentials,
    PasswordChangeRequired,
    PasswordResetRequired,
)
from services.identity.hashing import Hashing, Priority, Verdict
from services.identity.repository import logins, users
from services.identity.service.attempts import Attempts
from services.identity.service.failures import Attempt, Failures
from services.identity.service.mails import SecretMails

_TURNED_AWAY: dict[Standing, type[Problem]] = {
    Standing.DISABLED: AccountDisabled,
    Standing.RESET_REQUIRED: PasswordResetRequired,
    Standing.UNVERIFIED: EmailNotVerified,
    Standing.CHANGE_REQUIRED: PasswordChangeRequired,
}
log = get_logger(__name__)


class Authentication:
    """Answers token's `authenticate`; a session is token's to make.

    *private* is how registration is (D8).
    """

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        clock: Clock,
        *,
        attempts: Attempts,
        failures: Failures,
        hashing: Hashing,
        devices: DeviceTokens,
        mails: SecretMails,
        private: bool,
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._clock = clock
        self._attempts = attempts
        self._failures = failures
        self._hashing = hashing
        self._devices = devices
        self._mails = mails
        self._private = private

    async def authenticate(
        self, request: AuthenticateRequest, *, caller: Caller
    ) -> AuthenticateResponse:
        """Return who logs in, as of the version whose password was verified (D24).

        Raises InvalidCredentials, AccountLocked, TooManyAttempts, HashingOverloaded, and after a
        correct password EmailNotVerified, AccountDisabled, PasswordChangeRequired,
        PasswordResetRequired. With private registration an account that is not verified answers
        like none: who just registered somebody's address would learn whether it was free.
        """
        patience = time.monotonic() + request.deadline_seconds
        attempt = await self._attempts.begin_login(
            request.username, request.device_token, caller=caller
        )
        verdict = await self._verify(attempt, request.password, patience)
        user = attempt.user
        if user is None or not verdict.is_right or (self._private and not user.is_verified):
            await self._attempts.fail(attempt)
            raise InvalidCredentials
        found = standing(user)
        if found is not Standing.WELCOME:
            await self._turn_away(attempt, user, found)
        upgraded = await self._upgrade(verdict, request.password)
        return await self._welcome(attempt, user, upgraded)

    async def _verify(self, attempt: Attempt, password: str, patience: float) -> Verdict:
        stored = attempt.user.password_hash if attempt.user is not None else None
        try:
            return await self._hashing.verify(
                stored, password, deadline=patience - time.monotonic()
            )
        except HashingOverloaded:
            await self._attempts.release(attempt)
            raise

    async def _upgrade(self, verdict: Verdict, password: str) -> str | None:
        """Hash anew what an older scheme made; when there is no time, at the next login."""
        if verdict is not Verdict.OUTDATED:
            return None
        try:
            return await self._hashing.hash(password, Priority.REGISTER)
        except HashingOverloaded:
            log.info("password_hash.not_upgraded", reason="hashing_overloaded")
            return None

    async def _turn_away(self, attempt: Attempt, user: User, found: Standing) -> NoReturn:
        """Say why the right password leads nowhere; it neither counts nor clears failures."""
        extensions: dict[str, object] = {}
        async with self._database.transaction() as tx:
            await self._attempts.release_in(tx, attempt)
            current = await users.find_for_update(tx, user.id)
            if current is None or current.credentials_epoch != user.credentials_epoch:
                raise InvalidCredentials
            if found is Standing.CHANGE_REQUIRED:
                token = await self._mails.hand_out_reset(tx, user)
                extensions["reset_token"] = token.secret
                extensions["reset_expires_in"] = int(CHANGE_LIFE.total_seconds())
            await self._failures.record(tx, attempt, str(found))
        raise _TURNED_AWAY[found](extensions=extensions)

    async def _welcome(
        self, attempt: Attempt, user: User, upgraded: str | None
    ) -> AuthenticateResponse:
        now = self._clock.now()
        await self._settle(attempt, user, _success(attempt, user, upgraded), now)
        device = attempt.device.id if attempt.device is not None else None
        return AuthenticateResponse(
            user_id=user.id,
            roles=tuple(sorted(user.roles)),
            status=user.status,
            version=user.version,
            amr=("pwd",),
            authenticated_at=now,
            device_token=self._devices.issue(user.id, user.credentials_epoch, device=device),
        )

    async def _settle(
        self, attempt: Attempt, user: User, success: logins.Success, now: datetime
    ) -> None:
        """Remember and announce the login. Raises InvalidCredentials.

        The first login of an account is nobody's surprise. A program that keeps no device token is
        known by its agent and address, or each of its logins would be told.
        """
        record = _record(attempt, user, now)
        announcement = self._outbox.row(LoginSucceeded(user_id=user.id), **_about(user, attempt))
        expected = attempt.device is not None or user.last_login is None
        async with self._database.statements() as each:
            if expected or await logins.was_seen_before(each, record):
                if await logins.settle(each, success, record, announcement) is None:
                    raise InvalidCredentials
                self._outbox.written.set()
                return
        async with self._database.transaction() as tx:
            if await logins.settle(tx, success, record, announcement) is None:
                raise InvalidCredentials
            # Asked again: of two logins at once one is the first, and the other waited for it.
            if not await logins.was_seen_before(tx, record):
                await self._outbox.emit(tx, DeviceAdded(user_id=user.id), **_about(user, attempt))
        self._outbox.written.set()


class _About(TypedDict):
    """Whom an event is about, and who caused it."""

    subject: str
    caller: Caller
    actor: str
    subjectversion: int


def _about(user: User, attempt: Attempt) -> _About:
    return _About(
        subject=str(user.id),
        caller=attempt.caller,
        actor=str(user.id),
        subjectversion=user.version,
    )


def _success(attempt: Attempt, user: User, upgraded: str | None) -> logins.Success:
    return logins.Success(
        key=attempt.key,
        owner_key=f"user:{user.id}",
        source=attempt.source,
        credentials_epoch=user.credentials_epoch,
        upgraded_hash=upgraded,
    )


def _record(attempt: Attempt, user: User, now: datetime) -> LoginRecord:
    return LoginRecord(
        id=attempt.id,
        user_id=user.id,
        occurred_at=now,
        ip=attempt.caller.client_address,
        user_agent=attempt.caller.user_agent,
        outcome=SUCCEEDED,
    )
