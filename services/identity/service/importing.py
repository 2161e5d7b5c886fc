"""Importing: accounts from elsewhere, with the hashes they had there (D4)."""

import secrets
from collections.abc import Sequence
from uuid import UUID

from chassis.caller import Caller, Principal
from chassis.clock import Clock
from chassis.database import Database, Transaction
from chassis.errors import FieldError
from chassis.ids import uuid7
from chassis.outbox import Outbox
from contracts.identity import UserRegistered
from services.identity.domain.accounts import PLAIN_ROLES, NewUser
from services.identity.domain.imports import Entry, Outcome
from services.identity.errors import ImportRunning
from services.identity.hashing import Hashing, Priority
from services.identity.repository import imports, names
from services.identity.service.authority import ADMINISTERING, roles_of

_TAKEN = "Somebody has this already."


class Importing:
    """Makes accounts in batches, one transaction each; what is there already is left alone.

    Nobody gets a mail: an account that is not verified asks for its link, one without a hash for
    a reset. One import at a time per process.
    """

    def __init__(
        self, database: Database, outbox: Outbox, clock: Clock, *, hashing: Hashing
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._clock = clock
        self._hashing = hashing
        self._is_running = False
        self._unusable: str | None = None

    async def begin(self, principal: Principal) -> None:
        """Let nobody else begin before `end`. Raises RoleRequired, ImportRunning."""
        async with self._database.transaction() as tx:
            await roles_of(tx, principal, ADMINISTERING)
        if self._is_running:
            raise ImportRunning
        self._is_running = True

    def end(self) -> None:
        """Let the next one begin."""
        self._is_running = False

    async def add(
        self, principal: Principal, entries: Sequence[Entry], *, caller: Caller
    ) -> list[Outcome]:
        """Store *entries* and say what became of each, in their order.

        Raises RoleRequired when the administrator is none any more.
        """
        unusable = await self._unusable_hash()
        accounts = [(entry, self._account(entry, unusable)) for entry in entries]
        now = self._clock.now()
        due = [user for entry, user in accounts if not entry.created_at or entry.created_at <= now]
        async with self._database.transaction() as tx:
            await roles_of(tx, principal, ADMINISTERING)
            added = await imports.add_all(tx, due, now=now, granted_by=principal.user_id)
            for user in due:
                if user.id in added:
                    await self._announce(tx, user, caller)
            folded = [user.email_folded for user in due if user.id not in added]
            existing = await imports.find_by_emails(tx, folded) if folded else {}
            return [
                Outcome(line=entry.line, status="created", user_id=user.id)
                if user.id in added
                else await self._leftover(tx, entry, existing.get(user.email_folded))
                for entry, user in accounts
            ]

    async def _leftover(self, tx: Transaction, entry: Entry, existing: UUID | None) -> Outcome:
        """Say why *entry* made no account."""
        if existing is not None:
            return Outcome(line=entry.line, status="exists", user_id=existing)
        now = self._clock.now()
        if entry.created_at is not None and entry.created_at > now:
            error = FieldError("/created_at", "in_the_future", "This has not happened yet.")
            return Outcome(line=entry.line, status="failed", errors=(error,))
        taken = await names.list_taken(
            tx,
            email_folded=entry.email.folded,
            username=entry.username.text if entry.username else None,
            now=now,
        )
        # A plain username that somebody has by chance: another attempt gets another one.
        errors = tuple(
            FieldError(f"/{field}", f"{field}_taken", _TAKEN) for field in taken or ["username"]
        )
        return Outcome(line=entry.line, status="failed", errors=errors)

    def _account(self, entry: Entry, unusable: str) -> NewUser:
        user_id = uuid7(self._clock)
        plain = f"user-{user_id.hex[-12:]}"
        return NewUser(
            id=user_id,
            email=entry.email.text,
            email_folded=entry.email.folded,
            username=plain if entry.username is None else entry.username.text,
            password_hash=unusable if entry.password_hash is None else entry.password_hash,
            roles=entry.roles | PLAIN_ROLES,
            created_at=entry.created_at or self._clock.now(),
            is_verified=entry.is_verified,
            password_reset_required=entry.password_hash is None,
        )

    async def _announce(self, tx: Transaction, user: NewUser, caller: Caller) -> None:
        fact = UserRegistered(
            user_id=user.id,
            email=user.email,
            username=user.username,
            roles=tuple(sorted(user.roles)),
            is_verified=user.is_verified,
        )
        await self._outbox.emit(tx, fact, subject=str(user.id), caller=caller, subjectversion=1)

    async def _unusable_hash(self) -> str:
        """Return the hash of a password that nobody ever saw, made once."""
        if self._unusable is None:
            self._unusable = await self._hashing.hash(secrets.token_urlsafe(32), Priority.REGISTER)
        return self._unusable
