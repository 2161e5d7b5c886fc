"""What the use cases are made of."""

from chassis.assertions import AssertionSigner
from chassis.bus import EventBus
from chassis.clock import Clock
from chassis.cores import available_cores
from chassis.database import Database
from chassis.internal import InternalClient
from chassis.metrics import Metrics
from chassis.outbox import Outbox
from services.identity import models
from services.identity.devices import DeviceTokens
from services.identity.hashing import (
    Argon2Parameters,
    Hashing,
    HashPool,
    PasswordHasher,
)
from services.identity.name_keys import NameKeys
from services.identity.passwords import PRESETS
from services.identity.service.attempts import Attempts
from services.identity.service.choosing import PasswordChoice
from services.identity.service.confirmation import Confirmation
from services.identity.service.failures import Failures
from services.identity.service.forced_reset import ForcedReset
from services.identity.service.mail_requests import MailRequests
from services.identity.service.mails import SecretMails
from services.identity.settings import IdentitySettings


class Parts:
    """Each of them once: the connections, the keys, and the rules several use cases share."""

    def __init__(
        self,
        settings: IdentitySettings,
        bus: EventBus,
        clock: Clock,
        argon2: Argon2Parameters | None,
    ) -> None:
        self.settings, self.bus, self.clock = settings, bus, clock
        self.metrics = Metrics()
        self.database = Database(
            settings.database_url.get_secret_value(),
            pool_min=settings.database_pool_min,
            pool_max=settings.database_pool_max,
        )
        self.outbox = Outbox("identity", models.outbox, clock)
        self.token = _token_client(settings, clock)
        self.hashing = _hashing(settings, self.metrics, argon2)
        self.names = NameKeys(settings.identity_key)
        self.devices = DeviceTokens(settings.identity_key, clock)
        self.mails = SecretMails(self.outbox, settings.mail_secrets_keys, clock)
        self.forced_reset = ForcedReset(self.outbox, clock, mails=self.mails)
        policy = PRESETS[settings.password_preset]().with_overrides(**settings.password_rules)
        self.choice = PasswordChoice(policy, self.hashing)
        self.failures = Failures(self.outbox, clock)
        self.requests = MailRequests(self.database, clock, keys=self.names)
        self.attempts = Attempts(
            self.database,
            clock,
            failures=self.failures,
            limits=settings.limits,
            names=self.names,
            devices=self.devices,
        )
        self.confirmation = Confirmation(self.attempts, self.hashing)


def _token_client(settings: IdentitySettings, clock: Clock) -> InternalClient:
    signer = AssertionSigner(
        issuer="identity",
        audience="token",
        secrets=settings.assertion_secrets_to_token,
        clock=clock,
    )
    return InternalClient(settings.token_url, signer)


def _hashing(
    settings: IdentitySettings, metrics: Metrics, argon2: Argon2Parameters | None
) -> Hashing:
    workers = min(available_cores(), settings.hash_workers or available_cores())
    return Hashing(
        PasswordHasher(argon2, settings.password_peppers),
        HashPool(workers, registry=metrics.registry),
        queue_seconds=settings.hash_queue_seconds,
    )
