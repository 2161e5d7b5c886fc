"""Fixtures of notify's tests: every test with a database runs on every PostgreSQL there is."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from chassis.database import Database
from chassis.outbox import Outbox
from chassis.testing import FixedClock
from chassis.testing.certificates import serving_with, write_certificate
from chassis.testing.databases import FreshDatabase
from chassis.testing.fixtures import MakeDatabase
from chassis.testing.servers import PostgresServer
from services.notify import models
from services.notify.consumers import Reactions
from services.notify.domain.messages import RetryPolicy
from services.notify.rendering import Renderer
from services.notify.service.breaker import Breaker
from services.notify.service.composition import Composer, Letterhead
from services.notify.service.delivery import Delivery
from services.notify.service.intake import Intake
from services.notify.tests.kit import BASE_URL, KEYS, SECURITY_EMAIL, House, RecordingTransport
from services.notify.tests.running import Running, run, settings_of
from services.notify.tests.sendgrid_fake import FakeSendGrid
from services.notify.tests.smtp_sink import SmtpSink
from services.notify.transports import Originator

MIGRATIONS = Path(__file__).parents[1] / "migrations"


@pytest.fixture
def postgres_server(each_postgres: PostgresServer) -> PostgresServer:
    """Run on every PostgreSQL of this machine."""
    return each_postgres


@pytest.fixture
async def fresh(make_database: MakeDatabase) -> FreshDatabase:
    """Give a migrated, empty database."""
    return await make_database("notify", MIGRATIONS)


@pytest.fixture
async def database(fresh: FreshDatabase) -> AsyncIterator[Database]:
    """Give the database as the app role sees it."""
    database = Database(fresh.app_url, pool_min=1, pool_max=10)
    yield database
    await database.close()


@pytest.fixture
def composer() -> Composer:
    """Give the writer of mails."""
    return Composer(
        renderer=Renderer(base_url=BASE_URL, product="Gatehouse"),
        letterhead=Letterhead(
            sender=Originator("Gatehouse", "no-reply@gatehouse.example"), base_url=BASE_URL
        ),
        keys=KEYS,
        clock=FixedClock(),
    )


@pytest.fixture
def house(database: Database, composer: Composer) -> House:
    """Give notify without its doors: reactions in front, a recording transport behind."""
    clock, due = FixedClock(), asyncio.Event()
    outbox, transport = Outbox("notify", models.outbox, clock), RecordingTransport()
    return House(
        database=database,
        clock=clock,
        due=due,
        outbox=outbox,
        transport=transport,
        reactions=Reactions(
            Intake(outbox=outbox, clock=clock, due=due, security_email=SECURITY_EMAIL)
        ),
        delivery=Delivery(
            database=database,
            outbox=outbox,
            transport=transport,
            breaker=Breaker(clock=clock, width=4),
            composer=composer,
            clock=clock,
            policy=RetryPolicy(first=timedelta(0), max_attempts=3),
            lease=timedelta(seconds=30),
            chance=lambda: 0.0,
        ),
    )


@pytest.fixture
def sink() -> Iterator[SmtpSink]:
    """Give a running SMTP server without TLS."""
    sink = SmtpSink()
    sink.start()
    yield sink
    sink.stop()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Give the path of a self-signed certificate for 127.0.0.1, its key beside it."""
    return write_certificate(tmp_path / "certificate.pem")


@pytest.fixture
def tls_sink(certificate: Path) -> Iterator[SmtpSink]:
    """Give a server that wants STARTTLS and has a certificate nobody knows."""
    sink = SmtpSink(tls=serving_with(certificate))
    sink.start()
    yield sink
    sink.stop()


@pytest.fixture
async def fake() -> AsyncIterator[FakeSendGrid]:
    """Give a running stand-in for SendGrid."""
    fake = FakeSendGrid()
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
async def notify(fresh: FreshDatabase) -> AsyncIterator[Running]:
    """Give a running notify that mails into its inbox."""
    async with run(settings_of(fresh)) as running:
        yield running
