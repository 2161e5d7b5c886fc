"""Editing: an administrator corrects the names of an account, never its roles or password."""

from uuid import UUID

from chassis.caller import Caller, Principal
from chassis.clock import Clock
from chassis.database import Database, Transaction
from chassis.outbox import Outbox
from contracts.identity import UserEmailChanged, UserEmailVerified, UserEvent, UserUpdated
from services.identity.domain.accounts import User
from services.identity.domain.edits import Edits
from services.identity.domain.names import EmailAddress
from services.identity.errors import UnknownUser
from services.identity.repository import email_changes, one_time_tokens, users
from services.identity.service.authority import ADMINISTERING, held, visible
from services.identity.service.last_administrator import keep_one_administrator
from services.identity.service.mails import SecretMails
from services.identity.service.taken import refuse_taken, taken_error


class Editing:
    """Changes what an account is called; each change is a fact and a version of its own."""

    def __init__(
        self, database: Database, outbox: Outbox, clock: Clock, *, mails: SecretMails
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._clock = clock
        self._mails = mails

    async def edit(
        self, principal: Principal, user_id: UUID, edits: Edits, *, caller: Caller
    ) -> User:
        """Make *edits*; a new address that is not declared proven gets a verification mail.

        Raises RoleRequired, UnknownUser, AlreadyTaken naming each field, LastAdministrator when
        the only one who can log in would have an address that is not proven.
        """
        async with self._database.transaction() as tx:
            seen = await visible(tx, principal, user_id, ADMINISTERING)
            if not edits.leaves_verified(seen):
                await keep_one_administrator(tx, user_id)
            before = await held(tx, user_id, renames=True)
            await refuse_taken(
                tx,
                email_folded=edits.email.folded if edits.email else None,
                username=edits.username.text if edits.username else None,
                except_for=user_id,
                now=self._clock.now(),
            )
            return await self._apply(tx, before, edits, caller)

    async def _apply(self, tx: Transaction, before: User, edits: Edits, caller: Caller) -> User:
        user = before
        if edits.username is not None and edits.username.text != before.username:
            renamed = await users.change_names(tx, user.id, username=edits.username.text)
            if renamed is None:
                raise taken_error(["username"])
            user = await self._told(
                tx, renamed, UserUpdated(user_id=user.id, fields=("username",)), caller
            )
        if edits.email is not None and edits.email.text != before.email:
            user = await self._readdress(tx, user, edits.email, caller)
        if edits.leaves_verified(before):
            return await self._prove(tx, user, caller)
        return await self._doubt(tx, user, caller, was_moved=edits.moves(before))

    async def _readdress(
        self, tx: Transaction, user: User, email: EmailAddress, caller: Caller
    ) -> User:
        """Give the account *email*; whatever was mailed to an earlier address opens nothing."""
        now = self._clock.now()
        await one_time_tokens.void_resets(tx, user.id, now=now)
        await one_time_tokens.void_verifications(tx, user.id, now=now)
        await email_changes.void_all(tx, user.id, now=now)
        moved = await users.change_names(tx, user.id, email=email.text, email_folded=email.folded)
        if moved is None:
            raise taken_error(["email"])
        fact = UserEmailChanged(
            user_id=user.id, email=moved.email, previous_email=user.email, cause="admin"
        )
        return await self._told(tx, moved, fact, caller)

    async def _prove(self, tx: Transaction, user: User, caller: Caller) -> User:
        verified = await users.mark_verified(tx, user.id)
        if verified is None:
            return user
        fact = UserEmailVerified(user_id=user.id, email=user.email)
        return await self._told(tx, verified, fact, caller)

    async def _doubt(self, tx: Transaction, user: User, caller: Caller, *, was_moved: bool) -> User:
        doubted = await users.mark_unverified(tx, user.id, now=self._clock.now())
        if doubted is not None:
            fact = UserUpdated(user_id=user.id, fields=("is_verified",))
            user = await self._told(tx, doubted, fact, caller)
        if was_moved:
            await self._mails.send_verification(tx, user, caller=caller)
        return user

    async def _told(
        self, tx: Transaction, user: User | None, fact: UserEvent, caller: Caller
    ) -> User:
        if user is None:
            raise UnknownUser
        await self._outbox.emit(
            tx, fact, subject=str(user.id), caller=caller, subjectversion=user.version
        )
        return user
