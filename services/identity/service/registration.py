"""Registration: a new account, its verification mail, and what is said of names that are taken."""

from datetime import timedelta

from chassis.caller import Caller
from chassis.clock import Clock
from chassis.database import Database, Transaction
from chassis.ids import uuid7
from chassis.outbox import Outbox
from contracts.identity import UserRegistered
from services.identity.domain.accounts import NewUser, Role
from services.identity.domain.mail_requests import RequestKind
from services.identity.domain.names import EmailAddress, Username
from services.identity.hashing import Priority
from services.identity.passwords import Person
from services.identity.repository import names, users
from services.identity.service.choosing import PasswordChoice
from services.identity.service.mail_requests import MailRequests
from services.identity.service.mails import SecretMails
from services.identity.service.taken import taken_error


class Registration:
    """Makes accounts. *private* hides which addresses have one (D8).

    *hold* is how long a username stays reserved that a silently refused registration asked for.
    """

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        clock: Clock,
        *,
        choice: PasswordChoice,
        mails: SecretMails,
        requests: MailRequests,
        private: bool,
        hold: timedelta,
    ) -> None:
        self.is_private = private
        self._database = database
        self._outbox = outbox
        self._clock = clock
        self._choice = choice
        self._mails = mails
        self._requests = requests
        self._hold = hold

    async def register(
        self, email: EmailAddress, username: Username, password: str, *, caller: Caller
    ) -> NewUser | None:
        """Store an unverified account and order its verification mail.

        Raises InvalidInput for the password, AlreadyTaken naming each field that is. In private
        mode a taken address is not told: its owner gets a mail, the caller None. Usernames are
        shown to others anyway and are told in both modes.
        """
        self._choice.check(password, Person.of(username.text, email), pointer="/password")
        if not await self._list_taken(email, username):
            user = await self._new_user(email, username, password)
            async with self._database.transaction() as tx:
                if await users.add(tx, user, now=user.created_at):
                    await self._announce(tx, user, caller)
                    return user
        taken = await self._list_taken(email, username)
        if self.is_private and "username" in taken:
            raise taken_error(["username"])
        if "email" in taken:
            await self._note_claim(email, username, password, caller)
        if taken and not self.is_private:
            raise taken_error(taken)
        return None

    async def _new_user(self, email: EmailAddress, username: Username, password: str) -> NewUser:
        password_hash = await self._choice.hash(password, Priority.REGISTER)
        return NewUser(
            id=uuid7(self._clock),
            email=email.text,
            email_folded=email.folded,
            username=username.text,
            password_hash=password_hash,
            roles=frozenset({Role.USER}),
            created_at=self._clock.now(),
        )

    async def _announce(self, tx: Transaction, user: NewUser, caller: Caller) -> None:
        data = UserRegistered(
            user_id=user.id,
            email=user.email,
            username=user.username,
            roles=tuple(sorted(user.roles)),
        )
        await self._outbox.emit(
            tx,
            data,
            subject=str(user.id),
            caller=caller,
            actor=str(user.id),
            subjectversion=1,
        )
        await self._mails.send_verification(tx, user, caller=caller)

    async def _note_claim(
        self, email: EmailAddress, username: Username, password: str, caller: Caller
    ) -> None:
        """Do what follows from a second registration of one address.

        While nobody has proven the address, another password than the first one's contests it
        (ADR 0013): its mailbox gets a link that sets a new one. The same password is the same form
        sent twice. The comparison costs what storing a new password does.
        """
        async with self._database.transaction() as tx:
            holder = await users.find_by_login_name(tx, email.folded)
        stored = None if holder is None else holder.password_hash
        matches = await self._choice.matches(stored, password, Priority.REGISTER)
        is_unproven = holder is not None and not holder.is_verified
        repeats = is_unproven and matches
        kind = RequestKind.VERIFICATION if repeats else RequestKind.REGISTRATION
        async with self._database.transaction() as tx:
            if self.is_private or (is_unproven and not repeats):
                await self._requests.add(tx, kind, email.folded, caller=caller)
            if self.is_private:
                # As if the account had been made, or the next who asks for the name would know.
                until = self._clock.now() + self._hold
                await names.hold_username(tx, username.text, until=until)

    async def _list_taken(self, email: EmailAddress, username: Username) -> list[str]:
        async with self._database.transaction() as tx:
            return await names.list_taken(
                tx, email_folded=email.folded, username=username.text, now=self._clock.now()
            )
