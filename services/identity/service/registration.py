"""Registration: a new account, its verification mail, and what is said of names that are taken."""

from chassis.caller import Caller
from chassis.clock import Clock
from chassis.database import Database, Transaction
from chassis.errors import FieldError
from chassis.ids import uuid7
from chassis.outbox import Outbox
from contracts.identity import UserRegistered
from services.identity.domain.accounts import NewUser, Role
from services.identity.domain.mail_requests import RequestKind
from services.identity.domain.names import EmailAddress, Username
from services.identity.errors import AlreadyTaken
from services.identity.hashing import Priority
from services.identity.passwords import Person
from services.identity.repository import users
from services.identity.service.choosing import PasswordChoice
from services.identity.service.mail_requests import MailRequests
from services.identity.service.mails import SecretMails


class Registration:
    """Makes accounts. *private* hides which addresses have one (D8)."""

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
    ) -> None:
        self.is_private = private
        self._database = database
        self._outbox = outbox
        self._clock = clock
        self._choice = choice
        self._mails = mails
        self._requests = requests

    async def register(
        self, email: EmailAddress, username: Username, password: str, *, caller: Caller
    ) -> NewUser | None:
        """Store an unverified account and order its verification mail.

        Raises InvalidInput for the password, AlreadyTaken naming each field that is. In private
        mode a taken address is not told: its owner gets a mail, the caller None. Usernames are
        shown to others anyway and are told in both modes.
        """
        self._choice.check(password, Person.of(username.text, email), pointer="/password")
        await self._refuse_taken(email, username)
        password_hash = await self._choice.hash(password, Priority.REGISTER)
        user = NewUser(
            id=uuid7(self._clock),
            email=email.text,
            email_folded=email.folded,
            username=username.text,
            password_hash=password_hash,
            roles=frozenset({Role.USER}),
            created_at=self._clock.now(),
        )
        async with self._database.transaction() as tx:
            if await users.add(tx, user):
                await self._announce(tx, user, caller)
                return user
            taken = await users.list_taken(tx, email_folded=email.folded, username=username.text)
            self._raise_taken(taken)
            await self._requests.add(tx, RequestKind.REGISTRATION, email.folded, caller=caller)
        return None

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

    async def _refuse_taken(self, email: EmailAddress, username: Username) -> None:
        """Save the hash where the answer is known already; the constraint has the last word."""
        async with self._database.transaction() as tx:
            taken = await users.list_taken(tx, email_folded=email.folded, username=username.text)
        self._raise_taken(taken)

    def _raise_taken(self, taken: list[str]) -> None:
        told = [field for field in taken if field == "username" or not self.is_private]
        if told:
            raise AlreadyTaken(
                errors=[
                    FieldError(f"/{field}", f"{field}_taken", "Somebody has this already.")
                    for field in told
                ]
            )
