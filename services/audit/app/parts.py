"""The parts of audit, and the order in which they come up."""

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

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
from chassis.schema_version import schema_check
from services.audit.app.archive import archiver
from services.audit.consumers import consumer
from services.audit.domain.leaves import SALT_BYTES
from services.audit.models import OUTBOX
from services.audit.routes import UseCases, routes
from services.audit.service.alarms import Alarms
from services.audit.service.alerts import Alerts
from services.audit.service.archive.metrics import ArchiveMetrics
from services.audit.service.archive.reading import ArchiveReading
from services.audit.service.detection import Detector
from services.audit.service.housekeeping import Housekeeping
from services.audit.service.ip_blocks import IpBlocks
from services.audit.service.metrics import AuditMetrics
from services.audit.service.observing import count_activity, keep_evidence
from services.audit.service.partitions import Partitions
from services.audit.service.reading import Reading
from services.audit.service.recording import Recording
from services.audit.service.sequences import SequenceWatch
from services.audit.service.statistics import Counting
from services.audit.settings import AuditSettings


def build(
    settings: AuditSettings, *, bus: EventBus | None = None, clock: Clock | None = None
) -> Deployable:
    """Build the audit service; without a *bus* it takes its events from RabbitMQ.

    Exits 78 when neither is there.
    """
    parts = Parts(settings, bus or open_bus(settings, name="audit"), clock or SystemClock())
    return parts.deployable(owns_bus=bus is None)


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
            self._partitions,
            numbers,
            new_salt=lambda: secrets.token_bytes(SALT_BYTES),
            watchers=(keep_evidence, count_activity),
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
        self._detector = self._detection(numbers)

    def deployable(self, *, owns_bus: bool) -> Deployable:
        """Return the service, ready to be served."""
        health = Health()
        health.add_check("database", self._database.ping)
        health.add_check("schema", schema_check(self._database, str(Path(__file__).parent)))
        return Deployable(
            name="audit",
            settings=self._settings,
            http=service_app(
                routes=routes(self._use_cases()),
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

    def _use_cases(self) -> UseCases:
        return UseCases(
            reading=self._reading(),
            blocks=self._blocks,
            alerts=Alerts(database=self._database, outbox=self._outbox, clock=self._clock),
            counting=Counting(self._database, self._clock),
            clock=self._clock,
        )

    def _reading(self) -> Reading:
        archives = ArchiveReading(
            database=self._database, target=self._archiver.target, metrics=self._archiver.metrics
        )
        return Reading(self._database, self._recording, self._clock, archives=archives)

    def _detection(self, numbers: AuditMetrics) -> Detector:
        thresholds = self._settings.thresholds
        alarms = Alarms(
            outbox=self._outbox,
            clock=self._clock,
            blocks=self._blocks,
            thresholds=thresholds,
            metrics=numbers,
        )
        return Detector(self._database, alarms, numbers, thresholds=thresholds)

    def _housekeeping(self) -> Housekeeping:
        return Housekeeping(
            database=self._database,
            clock=self._clock,
            evidence_life=self._settings.evidence_life,
            alert_life=timedelta(days=self._settings.alert_retention_days),
        )

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
            background.start("detector", lambda: self._detector.run(background))
            background.start("housekeeping", lambda: self._housekeeping().run(background))
            background.start("archiver", lambda: self._archiver.run(background))
            Relay(self._outbox, self._database, self._bus, registry=registry).start(background)
            consuming = consumer(
                self._recording, database=self._database, clock=self._clock, metrics=self._metrics
            )
            await consuming.start(self._bus, background)
            yield
