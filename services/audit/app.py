"""Put audit together."""

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from chassis.app import Deployable, service_app
from chassis.assertions import AssertionVerifier
from chassis.background import Background
from chassis.bus import EventBus
from chassis.clock import Clock, SystemClock
from chassis.database import Database
from chassis.health import Health
from chassis.metrics import Metrics
from chassis.outbox import Outbox
from chassis.rabbitmq import open_bus
from chassis.relay import Relay
from services.audit.archive_store import S3Settings, open_store
from services.audit.consumers import consumer
from services.audit.domain.archive.manifest import Signer
from services.audit.domain.leaves import SALT_BYTES
from services.audit.models import OUTBOX
from services.audit.routes import routes
from services.audit.service.archive.archiver import Archiver
from services.audit.service.archive.metrics import ArchiveMetrics
from services.audit.service.archive.reading import ArchiveReading
from services.audit.service.archive.target import KeyRing, Target
from services.audit.service.ip_blocks import IpBlocks
from services.audit.service.metrics import AuditMetrics
from services.audit.service.partitions import Partitions
from services.audit.service.reading import Reading
from services.audit.service.recording import Recording
from services.audit.service.sequences import SequenceWatch
from services.audit.settings import AuditSettings

_ARCHIVER_POOL = 2
_ARCHIVER_SECONDS = 120.0


def build(
    settings: AuditSettings, *, bus: EventBus | None = None, clock: Clock | None = None
) -> Deployable:
    """Build the audit service; without a *bus* it takes its events from RabbitMQ.

    Exits 78 when neither is there.
    """
    parts = Parts(settings, bus or open_bus(settings, name="audit"), clock or SystemClock())
    return parts.deployable(owns_bus=bus is None)


def archive_target(settings: AuditSettings) -> Target | None:
    """Return what archives are written to and read with; None when none is configured."""
    if settings.archive_url is None:
        return None
    secret = settings.archive_s3_secret_access_key
    s3 = S3Settings(
        endpoint=settings.archive_s3_endpoint,
        region=settings.archive_s3_region,
        access_key_id=settings.archive_s3_access_key_id,
        secret_access_key=None if secret is None else secret.get_secret_value(),
        timeout_seconds=settings.archive_timeout_seconds,
    )
    return Target(
        store=open_store(settings.archive_url, s3),
        ring=KeyRing(
            encryption_keys=settings.archive_key_encryption_keys, new_bytes=secrets.token_bytes
        ),
        signer=Signer(settings.archive_signing_keys),
    )


def archiver(settings: AuditSettings, *, clock: Clock, metrics: ArchiveMetrics) -> Archiver:
    """Return the archiver, on connections of its own: its statements may take their time."""
    return Archiver(
        database=Database(
            settings.database_url.get_secret_value(),
            pool_min=1,
            pool_max=_ARCHIVER_POOL,
            timeout=_ARCHIVER_SECONDS,
        ),
        target=archive_target(settings),
        outbox=Outbox("audit", OUTBOX, clock),
        clock=clock,
        metrics=metrics,
        retention=settings.audit_retention,
        personal_retention=settings.archive_personal_retention,
    )


class Parts:
    """Everything the service is made of, and the order in which it comes up."""

    def __init__(self, settings: AuditSettings, bus: EventBus, clock: Clock) -> None:
        self._settings = settings
        self._bus = bus
        self._clock = clock
        self._metrics = Metrics()
        self._database = Database(
            settings.database_url.get_secret_value(),
            pool_min=settings.database_pool_min,
            pool_max=settings.database_pool_max,
        )
        numbers = AuditMetrics(self._metrics.registry)
        self._partitions = Partitions(self._database, numbers, unit=settings.audit_partition)
        self._recording = Recording(
            self._partitions, numbers, new_salt=lambda: secrets.token_bytes(SALT_BYTES)
        )
        self._watch = SequenceWatch(self._database, numbers)
        self._outbox = Outbox("audit", OUTBOX, clock)
        archive_metrics = ArchiveMetrics(self._metrics.registry)
        self._archiver = archiver(settings, clock=clock, metrics=archive_metrics)
        self._blocks = IpBlocks(
            database=self._database,
            outbox=self._outbox,
            clock=clock,
            protected=(*settings.trusted_proxies, *settings.ip_allowlist),
        )

    def deployable(self, *, owns_bus: bool) -> Deployable:
        """Return the service, ready to be served."""
        health = Health()
        health.add_check("database", self._database.ping)
        return Deployable(
            name="audit",
            settings=self._settings,
            http=service_app(
                routes=routes(self._reading(), self._blocks, self._clock),
                metrics=self._metrics,
                verifier=AssertionVerifier(
                    audience="audit",
                    secrets={"gateway": self._settings.assertion_secrets_from_gateway},
                    clock=self._clock,
                ),
                internal={"/internal/": frozenset({"gateway"})},
            ),
            lifespan=lambda: self._running(owns_bus=owns_bus),
            health=health,
            metrics=self._metrics,
        )

    def _reading(self) -> Reading:
        archives = ArchiveReading(
            database=self._database, target=self._archiver.target, metrics=self._archiver.metrics
        )
        return Reading(self._database, self._recording, self._clock, archives=archives)

    @asynccontextmanager
    async def _running(self, *, owns_bus: bool) -> AsyncIterator[None]:
        """Run everything that is not a request, from the first to the last of them."""
        registry = self._metrics.registry
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._database.close)
            stack.push_async_callback(self._archiver.database.close)
            if owns_bus:
                stack.push_async_callback(self._bus.close)
            background = await stack.enter_async_context(Background(registry=registry))
            background.start("partitions", lambda: self._partitions.run(background))
            background.start("sequences", lambda: self._watch.run(background))
            background.start("ip_blocks", lambda: self._blocks.run(background))
            background.start("archiver", lambda: self._archiver.run(background))
            Relay(self._outbox, self._database, self._bus, registry=registry).start(background)
            consuming = consumer(
                self._recording, database=self._database, clock=self._clock, metrics=self._metrics
            )
            await consuming.start(self._bus, background)
            yield
