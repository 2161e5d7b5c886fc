"""Bootstrap: the first administrator, made at the start while there has never been one."""

from dataclasses import dataclass

from chassis.clock import Clock
from chassis.database import Database, Transaction
from chassis.errors import InvalidInput
from chassis.ids import uuid7
from chassis.logs import get_logger
from chassis.outbox import Outbox
from contracts.identity import UserEmailVerified, UserRegistered
from services.identity.domain.accounts import NewUser, Role
from services.identity.domain.names import EmailAddress, Username
from services.identity.errors import BootstrapRefused
from services.identity.hashing import Priority
from services.identity.passwords import Person
from services.identity.repository import administration, names, users
from services.identity.service.choosing import PasswordChoice

log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstAdministrator:
    """Who is to administer; *must_change* asks for a new password at the first login."""

    email: str
    username: str
    password: str
    must_change: bool

    def __repr__(self) -> str:
        return f"FirstAdministrator(username={self.username!r})"


class Bootstrap:
    """Makes the first administrator: a new, verified account, never a promotion."""

    def __init__(
        self, database: Database, outbox: Outbox, clock: Clock, *, choice: PasswordChoice
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._clock = clock
        self._choice = choice

    async def ensure(self, wanted: FirstAdministrator) -> bool:
        """Make *wanted*, unless there is or was an administrator; say whether it was made.

        Raises BootstrapRefused when the names or the password will not do.
        """
        async with self._database.transaction() as tx:
            if await administration.has_ever_had_administrator(tx):
                return False
        user = await self._new_user(wanted)
        async with self._database.transaction() as tx:
            await administration.lock_administrators(tx)
            if await administration.has_ever_had_administrator(tx):
                return False
            await self._store(tx, user)
        log.info("administrator.bootstrapped", user_id=str(user.id))
        return True

    async def _new_user(self, wanted: FirstAdministrator) -> NewUser:
        email, username = _names(wanted)
        try:
            self._choice.check(wanted.password, Person.of(username.text, email), pointer="")
        except InvalidInput as refusal:
            reasons = " ".join(error.detail for error in refusal.errors)
            raise BootstrapRefused(f"BOOTSTRAP_ADMIN_PASSWORD: {reasons}") from None
        return NewUser(
            id=uuid7(self._clock),
            email=email.text,
            email_folded=email.folded,
            username=username.text,
            password_hash=await self._choice.hash(wanted.password, Priority.LOGIN),
            roles=frozenset({Role.USER, Role.ADMIN}),
            created_at=self._clock.now(),
            is_verified=True,
            password_change_required=wanted.must_change,
        )

    async def _store(self, tx: Transaction, user: NewUser) -> None:
        if not await users.add(tx, user, now=self._clock.now()):
            taken = await names.list_taken(
                tx,
                email_folded=user.email_folded,
                username=user.username,
                now=self._clock.now(),
            )
            variables = " and ".join(f"BOOTSTRAP_ADMIN_{field.upper()}" for field in taken)
            raise BootstrapRefused(
                f"{variables}: an account has this already, and nobody is promoted by a setting"
            )
        await administration.mark_bootstrapped(tx, now=self._clock.now())
        registered = UserRegistered(
            user_id=user.id,
            email=user.email,
            username=user.username,
            roles=tuple(sorted(user.roles)),
            is_verified=True,
        )
        verified = UserEmailVerified(user_id=user.id, email=user.email)
        for fact in (registered, verified):
            await self._outbox.emit(
                tx, fact, subject=str(user.id), caller=None, actor="bootstrap", subjectversion=1
            )


def _names(wanted: FirstAdministrator) -> tuple[EmailAddress, Username]:
    try:
        email = EmailAddress.parse(wanted.email)
    except ValueError as error:
        raise BootstrapRefused(f"BOOTSTRAP_ADMIN_EMAIL: {error}") from None
    try:
        return email, Username.parse(wanted.username)
    except ValueError as error:
        raise BootstrapRefused(f"BOOTSTRAP_ADMIN_USERNAME: {error}") from None
