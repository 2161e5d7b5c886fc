"""How notify is put together: the only place that constructs."""

import asyncio
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from urllib.parse import urlsplit

from starlette.routing import Route

from chassis.app import Deployable, service_app
from chassis.assertions import AssertionVerifier
from chassis.background import Background
from chassis.bus import EventBus
from chassis.clock import Clock, SystemClock
from chassis.consumer import Consumer
from chassis.database import Database
from chassis.health import Health
from chassis.metrics import Metrics
from chassis.outbox import Outbox
from chassis.rabbitmq import open_bus
from chassis.relay import Relay
from chassis.schema_version import schema_check
from services.notify.consumers import Reactions, subscriptions
from services.notify.models import inbox, outbox
from services.notify.rendering import Renderer
from services.notify.routes import admin_routes, inbox_routes
from services.notify.sender import Sender
from services.notify.service.administration import Administration
from services.notify.service.breaker import Breaker
from services.notify.service.composition import Composer, Letterhead
from services.notify.service.delivery import Delivery
from services.notify.service.development_inbox import DevelopmentInbox
from services.notify.service.intake import Intake
from services.notify.settings import NotifySettings
from services.notify.transports import Originator, Transport
from services.notify.transports.console import ConsoleTransport
from services.notify.transports.inbox import InboxTransport
from services.notify.transports.sendgrid import SMTP_HEADERS, SendGridTransport
from services.notify.transports.smtp import PORTS, SmtpTransport

_PRODUCT = "Gatehouse"


def build(
    settings: NotifySettings, *, bus: EventBus | None = None, clock: Clock | None = None
) -> Deployable:
    """Build notify; without *bus* it talks to RABBITMQ_URL.

    Exits 78 when there is neither a bus nor its address.
    """
    parts = _Parts(settings, clock or SystemClock(), bus or open_bus(settings, name="notify"))
    health = Health()
    health.add_check("database", parts.database.ping)
    health.add_check("schema", schema_check(parts.database, __file__))
    return Deployable(
        name="notify",
        settings=settings,
        http=service_app(
            routes=parts.routes(), metrics=parts.metrics, verifier=parts.verifier(), internal={}
        ),
        lifespan=partial(parts.lifespan, owns_bus=bus is None),
        health=health,
        metrics=parts.metrics,
    )


class _Parts:
    """What the parts of notify share, and how each is made of it."""

    def __init__(self, settings: NotifySettings, clock: Clock, bus: EventBus) -> None:
        self._settings = settings
        self._clock = clock
        self._bus = bus
        self._due = asyncio.Event()
        self._outbox = Outbox("notify", outbox, clock)
        self.metrics = Metrics()
        self.database = Database(
            settings.database_url.get_secret_value(),
            pool_min=settings.database_pool_min,
            pool_max=settings.database_pool_max,
        )

    @asynccontextmanager
    async def lifespan(self, *, owns_bus: bool) -> AsyncIterator[None]:
        """Relay, send and consume; at the end finish what is at hand and close everything."""
        registry = self.metrics.registry
        try:
            async with (
                _open_transport(self._settings, self.database, self._clock) as transport,
                Background(registry=registry) as background,
            ):
                Relay(self._outbox, self.database, self._bus, registry=registry).start(background)
                self._sender(transport).start(background)
                for consumer in self._consumers():
                    await consumer.start(self._bus, background)
                yield
        finally:
            if owns_bus:
                await self._bus.close()
            await self.database.close()

    def routes(self) -> list[Route]:
        """Return the routes; those of the inbox exist only where mails land in it."""
        administration = Administration(database=self.database, clock=self._clock, due=self._due)
        routes = admin_routes(administration)
        if self._settings.mail_transport == "inbox":
            routes += inbox_routes(DevelopmentInbox(self.database))
        return routes

    def verifier(self) -> AssertionVerifier:
        """Return who lets callers in: only the gateway has business here."""
        secrets_from = {"gateway": self._settings.assertion_secrets_from_gateway}
        return AssertionVerifier(audience="notify", secrets=secrets_from, clock=self._clock)

    def _consumers(self) -> list[Consumer]:
        intake = Intake(
            outbox=self._outbox,
            clock=self._clock,
            due=self._due,
            security_email=self._settings.security_email,
        )
        registry = self.metrics.registry
        return [
            Consumer(queue, subscribed, self.database, inbox, self._clock, registry=registry)
            for queue, subscribed in subscriptions(Reactions(intake)).items()
        ]

    def _sender(self, transport: Transport) -> Sender:
        return Sender(
            delivery=self._delivery(transport),
            database=self.database,
            due=self._due,
            workers=self._settings.mail_workers,
            retention=self._settings.message_retention,
            alone=self._bus.single_process,
            registry=self.metrics.registry,
        )

    def _delivery(self, transport: Transport) -> Delivery:
        return Delivery(
            database=self.database,
            outbox=self._outbox,
            transport=transport,
            breaker=Breaker(clock=self._clock, width=self._settings.mail_workers),
            composer=_composer(self._settings, self._clock),
            clock=self._clock,
            policy=self._settings.retry_policy,
            lease=self._settings.lease,
            chance=secrets.SystemRandom().random,
        )


def _composer(settings: NotifySettings, clock: Clock) -> Composer:
    name, address = settings.sender
    base_url = settings.public_base_url
    return Composer(
        renderer=Renderer(base_url=base_url, product=name or _PRODUCT),
        letterhead=Letterhead(sender=Originator(name, address), base_url=base_url),
        keys=settings.mail_secrets_keys,
        clock=clock,
    )


@asynccontextmanager
async def _open_transport(
    settings: NotifySettings, database: Database, clock: Clock
) -> AsyncIterator[Transport]:
    """Give the way out, and close what it keeps open at the end."""
    if settings.mail_transport == "inbox":
        yield InboxTransport(database)
    elif settings.mail_transport == "console":
        yield ConsoleTransport(sys.stdout)
    elif settings.mail_transport == "sendgrid-api" and settings.sendgrid_api_key is not None:
        async with SendGridTransport(
            url=settings.sendgrid_api_url,
            api_key=settings.sendgrid_api_key.get_secret_value(),
            timeout=settings.delivery_timeout,
            clock=clock,
        ) as transport:
            yield transport
    else:
        yield _smtp(settings)


def _smtp(settings: NotifySettings) -> SmtpTransport:
    return SmtpTransport(
        host=settings.smtp_host or "",
        port=settings.smtp_port or PORTS[settings.smtp_security],
        security=settings.smtp_security,
        credentials=settings.smtp_credentials,
        ca_file=settings.smtp_ca_file,
        local_hostname=urlsplit(settings.public_base_url).hostname or "localhost",
        timeout=settings.delivery_timeout,
        headers=SMTP_HEADERS if settings.mail_transport == "sendgrid-smtp" else None,
    )
