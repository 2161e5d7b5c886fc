"""The audit service without HTTP: what a test records with and looks at."""

import itertools
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from prometheus_client import CollectorRegistry

from chassis.bus import Delivery
from chassis.caller import Caller, Principal
from chassis.clock import SystemClock
from chassis.database import Database
from chassis.metrics import Metrics
from chassis.testing.databases import FreshDatabase
from contracts.envelope import CloudEvent
from services.audit.consumers import consumer
from services.audit.domain.leaves import SALT_BYTES
from services.audit.models import AUDIT_LOG, AUDIT_PERSONAL, INBOX
from services.audit.service.archive.metrics import ArchiveMetrics
from services.audit.service.archive.reading import ArchiveReading
from services.audit.service.archive.target import Target
from services.audit.service.metrics import AuditMetrics
from services.audit.service.observing import count_activity, keep_evidence
from services.audit.service.partitions import Partitions
from services.audit.service.reading import Reading
from services.audit.service.recording import Recording
from services.audit.service.sequences import SequenceWatch

MIGRATIONS = Path(__file__).parent.parent / "migrations"
ADMIN = UUID("00000000-0000-7000-8000-00000000ad31")


class World:
    """One migrated database with the service's use cases over it, as the app role."""

    def __init__(
        self, fresh: FreshDatabase, *, unit: str = "month", target: Target | None = None
    ) -> None:
        self.fresh = fresh
        self.database = Database(fresh.app_url, pool_min=1, pool_max=4)
        self.metrics = Metrics()
        self.numbers = AuditMetrics(self.metrics.registry)
        counter = itertools.count(1)
        self.partitions = Partitions(self.database, self.numbers, unit=unit)
        self.recording = Recording(
            self.partitions,
            self.numbers,
            new_salt=lambda: next(counter).to_bytes(SALT_BYTES, "big"),
            watchers=(keep_evidence, count_activity),
        )
        clock = SystemClock()
        self.archive_numbers = ArchiveMetrics(self.metrics.registry)
        archives = ArchiveReading(
            database=self.database, target=target, metrics=self.archive_numbers
        )
        self.reading = Reading(self.database, self.recording, clock, archives=archives)
        self.watch = SequenceWatch(self.database, self.numbers)
        self.consumer = consumer(
            self.recording, database=self.database, clock=clock, metrics=self.metrics
        )

    async def deliver(self, *events: CloudEvent) -> None:
        """Have the consumer take *events* as one batch from its queue."""
        await self.deliver_bodies(*((event.type, event.to_json()) for event in events))

    async def deliver_bodies(self, *bodies: tuple[str, bytes]) -> None:
        """Have the consumer take raw bodies with their routing keys."""
        deliveries = [Delivery(routing_key=key, body=body) for key, body in bodies]
        await self.consumer.accept_deliveries(deliveries)

    async def log(self) -> list[Any]:
        """Return the rows of the log in the order of their receipt."""
        order = (AUDIT_LOG.c.received_at, AUDIT_LOG.c.event_id)
        return await self.rows(sa.select(AUDIT_LOG).order_by(*order))

    async def personal(self) -> list[Any]:
        """Return the rows of the side table."""
        order = (AUDIT_PERSONAL.c.event_id, AUDIT_PERSONAL.c.party)
        return await self.rows(sa.select(AUDIT_PERSONAL).order_by(*order))

    async def dead(self) -> list[Any]:
        """Return the dead letters."""
        return await self.rows(sa.select(INBOX.inbox).where(INBOX.inbox.c.state == "dead"))

    async def rows(self, statement: sa.Executable) -> list[Any]:
        """Return what *statement* finds."""
        async with self.database.transaction() as tx:
            return list((await tx.execute(statement)).all())

    def sample(self, name: str, **labels: str) -> float:
        """Return the value of a metric."""
        return sample(self.metrics.registry, name, **labels)


def sample(registry: CollectorRegistry, name: str, **labels: str) -> float:
    """Return the value of a metric, 0 when nothing was counted."""
    return registry.get_sample_value(name, labels) or 0.0


def caller(
    *roles: str, user_id: UUID = ADMIN, address: str = "198.51.100.9", at: datetime | None = None
) -> Caller:
    """Return a caller with *roles*."""
    return Caller(
        issuer="gateway",
        principal=Principal(
            user_id=user_id,
            session_id=uuid4(),
            roles=frozenset(roles),
            version=1,
            auth_time=at,
        ),
        client_address=address,
        user_agent="Admin's browser",
        request_id="a-request-id",
    )


def ids(events: Sequence[CloudEvent]) -> list[UUID]:
    """Return the ids of *events*."""
    return [event.id for event in events]
