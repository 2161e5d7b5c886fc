"""Identity put together: the only place that constructs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chassis.app import Deployable, service_app
from chassis.assertions import AssertionSigner, AssertionVerifier
from chassis.background import Background
from chassis.bus import EventBus
from chassis.clock import Clock, SystemClock
from chassis.database import Database
from chassis.health import Health
from chassis.internal import InternalClient
from chassis.metrics import Metrics
from chassis.outbox import Outbox
from chassis.pusher import UrgentPusher
from chassis.rabbitmq import open_bus
from chassis.relay import Relay
from chassis.schema_version import schema_check
from chassis.settings import refused
from contracts.envelope import CloudEvent
from contracts.internal import SUBJECT_CHANGES_PATH
from services.identity import models
from services.identity.devices import DeviceTokens
from services.identity.errors import BootstrapRefused
from services.identity.hashing import (
    Argon2Parameters,
    Hashing,
    HashPool,
    PasswordHasher,
    available_cores,
)
from services.identity.name_keys import NameKeys
from services.identity.passwords import PRESETS
from services.identity.routes import routes
from services.identity.service.administration import Administration
from services.identity.service.attempts import Attempts
from services.identity.service.authentication import Authentication
from services.identity.service.bootstrap import Bootstrap, FirstAdministrator
from services.identity.service.choosing import PasswordChoice
from services.identity.service.confirmation import Confirmation
from services.identity.service.failures import Failures
from services.identity.service.housekeeping import Housekeeping
from services.identity.service.mail_requests import MailRequests, MailRequestWorker
from services.identity.service.mails import SecretMails
from services.identity.service.password_change import PasswordChange
from services.identity.service.password_reset import PasswordReset
from services.identity.service.profile import Profile
from services.identity.service.registration import Registration
from services.identity.service.subjects import Subjects
from services.identity.service.use_cases import UseCases
from services.identity.service.verification import Verification
from services.identity.settings import IdentitySettings

_INTERNAL = {"/internal/v1/": frozenset({"token"})}


def build(
    settings: IdentitySettings,
    *,
    bus: EventBus | None = None,
    clock: Clock | None = None,
    argon2: Argon2Parameters | None = None,
) -> Deployable:
    """Build identity; without *bus* it talks to RABBITMQ_URL.

    *argon2* is for tests: no setting makes a hash cheaper. Exits 78 when there is no bus.
    """
    parts = _Parts(
        settings, bus or open_bus(settings, name="identity"), clock or SystemClock(), argon2
    )
    health = Health()
    health.add_check("database", parts.database.ping)
    health.add_check("schema", schema_check(parts.database, __file__))
    return Deployable(
        name="identity",
        settings=settings,
        http=service_app(
            routes=routes(parts.use_cases()),
            metrics=parts.metrics,
            verifier=AssertionVerifier(
                audience="identity",
                secrets={
                    "gateway": settings.assertion_secrets_from_gateway,
                    "token": settings.assertion_secrets_from_token,
                },
                clock=parts.clock,
            ),
            internal=_INTERNAL,
        ),
        lifespan=lambda: parts.running(owns_bus=bus is None),
        health=health,
        metrics=parts.metrics,
    )


class _Parts:
    """Everything the service is made of, and the order in which it comes up."""

    def __init__(
        self,
        settings: IdentitySettings,
        bus: EventBus,
        clock: Clock,
        argon2: Argon2Parameters | None,
    ) -> None:
        self.clock = clock
        self.metrics = Metrics()
        self.database = Database(
            settings.database_url.get_secret_value(),
            pool_min=settings.database_pool_min,
            pool_max=settings.database_pool_max,
        )
        self._settings = settings
        self._bus = bus
        self._outbox = Outbox("identity", models.outbox, clock)
        self._token = InternalClient(
            settings.token_url,
            AssertionSigner(
                issuer="identity",
                audience="token",
                secrets=settings.assertion_secrets_to_token,
                clock=clock,
            ),
        )
        self._hashing = self._make_hashing(argon2)
        self._names = NameKeys(settings.identity_key)
        self._devices = DeviceTokens(settings.identity_key, clock)
        self._mails = SecretMails(self._outbox, settings.mail_secrets_keys, clock)
        policy = PRESETS[settings.password_preset]().with_overrides(**settings.password_rules)
        self._choice = PasswordChoice(policy, self._hashing)
        self._failures = Failures(self._outbox, clock)
        self._requests = MailRequests(self.database, clock, keys=self._names)

    def use_cases(self) -> UseCases:
        """Return the use cases behind the URLs."""
        database, outbox, clock = self.database, self._outbox, self.clock
        attempts = self._attempts()
        confirmation = Confirmation(attempts, self._hashing)
        return UseCases(
            registration=self._registration(),
            verification=Verification(database, outbox, clock),
            mail_requests=self._requests,
            password_reset=PasswordReset(database, outbox, clock, choice=self._choice),
            password_change=PasswordChange(
                database, outbox, clock, choice=self._choice, confirmation=confirmation
            ),
            policy=self._choice.policy,
            profile=Profile(database, outbox, clock, confirmation=confirmation),
            authentication=self._authentication(attempts),
            subjects=Subjects(database),
            administration=Administration(database, outbox, clock, mails=self._mails),
            clock=clock,
        )

    @asynccontextmanager
    async def running(self, *, owns_bus: bool) -> AsyncIterator[None]:
        """Run everything that is not a request, from the first to the last of them."""
        registry = self.metrics.registry
        try:
            await self._bootstrap()
            async with self._token, Background(registry=registry) as background:
                Relay(self._outbox, self.database, self._bus, registry=registry).start(background)
                UrgentPusher(self._outbox, self.database, self._push, registry=registry).start(
                    background
                )
                self._mail_worker().start(background)
                Housekeeping(self.database, self.clock).start(background)
                yield
        finally:
            self._hashing.close()
            if owns_bus:
                await self._bus.close()
            await self.database.close()

    async def _push(self, event: CloudEvent) -> None:
        """Hand an urgent event to token (D25)."""
        await self._token.call("POST", SUBJECT_CHANGES_PATH, body=event.to_dict())

    async def _bootstrap(self) -> None:
        settings = self._settings
        if settings.bootstrap_admin_email is None or settings.bootstrap_admin_password is None:
            return
        wanted = FirstAdministrator(
            email=settings.bootstrap_admin_email,
            username=settings.bootstrap_admin_username,
            password=settings.bootstrap_admin_password.get_secret_value(),
            must_change=settings.bootstrap_admin_must_change,
        )
        bootstrap = Bootstrap(self.database, self._outbox, self.clock, choice=self._choice)
        try:
            await bootstrap.ensure(wanted)
        except BootstrapRefused as refusal:
            raise refused([str(refusal)]) from None

    def _make_hashing(self, argon2: Argon2Parameters | None) -> Hashing:
        settings = self._settings
        workers = min(available_cores(), settings.hash_workers or available_cores())
        return Hashing(
            PasswordHasher(argon2, settings.password_peppers),
            HashPool(workers, registry=self.metrics.registry),
            queue_seconds=settings.hash_queue_seconds,
        )

    def _attempts(self) -> Attempts:
        return Attempts(
            self.database,
            self.clock,
            failures=self._failures,
            limits=self._settings.limits,
            names=self._names,
            devices=self._devices,
        )

    def _authentication(self, attempts: Attempts) -> Authentication:
        return Authentication(
            self.database,
            self._outbox,
            self.clock,
            attempts=attempts,
            failures=self._failures,
            hashing=self._hashing,
            devices=self._devices,
            mails=self._mails,
        )

    def _registration(self) -> Registration:
        return Registration(
            self.database,
            self._outbox,
            self.clock,
            choice=self._choice,
            mails=self._mails,
            requests=self._requests,
            private=self._settings.registration_private,
        )

    def _mail_worker(self) -> MailRequestWorker:
        return MailRequestWorker(
            self.database,
            self._outbox,
            self.clock,
            mails=self._mails,
            limit=self._settings.rate_limit_password_reset,
            added=self._requests.added,
        )
