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
from chassis.rabbitmq import open_bus
from services.audit.consumers import consumer
from services.audit.domain.leaves import SALT_BYTES
from services.audit.routes import routes
from services.audit.service.metrics import AuditMetrics
from services.audit.service.partitions import Partitions
from services.audit.service.reading import Reading
from services.audit.service.recording import Recording
from services.audit.service.sequences import SequenceWatch
from services.audit.settings import AuditSettings


def build(
    settings: AuditSettings, *, bus: EventBus | None = None, clock: Clock | None = None
) -> Deployable:
    """Build the audit service; without a *bus* it takes its events from RabbitMQ.

    Exits 78 when neither is there.
    """
    clock = clock or SystemClock()
    events = bus or open_bus(settings, name="audit")
    metrics, health = Metrics(), Health()
    database = Database(
        settings.database_url.get_secret_value(),
        pool_min=settings.database_pool_min,
        pool_max=settings.database_pool_max,
    )
    numbers = AuditMetrics(metrics.registry)
    partitions = Partitions(database, numbers, unit=settings.audit_partition)
    recording = Recording(partitions, numbers, new_salt=lambda: secrets.token_bytes(SALT_BYTES))
    reading = Reading(database, recording, clock)
    watch = SequenceWatch(database, numbers)
    consuming = consumer(recording, database=database, clock=clock, metrics=metrics)
    health.add_check("database", database.ping)

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(database.close)
            if bus is None:
                stack.push_async_callback(events.close)
            background = await stack.enter_async_context(Background(registry=metrics.registry))
            background.start("partitions", lambda: partitions.run(background))
            background.start("sequences", lambda: watch.run(background))
            await consuming.start(events, background)
            yield

    return Deployable(
        name="audit",
        settings=settings,
        http=service_app(
            routes=routes(reading),
            metrics=metrics,
            verifier=AssertionVerifier(
                audience="audit",
                secrets={"gateway": settings.assertion_secrets_from_gateway},
                clock=clock,
            ),
            internal={"/internal/": frozenset({"gateway"})},
        ),
        lifespan=lifespan,
        health=health,
        metrics=metrics,
    )
