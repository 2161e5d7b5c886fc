"""A log that is older than its retention, and an archiver over it."""

import gzip
import itertools
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import sqlalchemy as sa

from chassis.clock import Clock
from chassis.database import Database
from chassis.outbox import Outbox
from chassis.provisioning import admin_connection
from chassis.testing.clock import FixedClock
from chassis.testing.databases import FreshDatabase
from contracts.envelope import CloudEvent
from services.audit.archive_store import ArchiveStore
from services.audit.archive_store.folder import FolderStore
from services.audit.domain.archive.manifest import Signer
from services.audit.domain.leaves import record
from services.audit.models import (
    ARCHIVE_MANIFESTS,
    ARCHIVE_OBJECTS,
    ARCHIVE_PERSON_KEYS,
    AUDIT_PARTITIONS,
    OUTBOX,
)
from services.audit.repository import log
from services.audit.repository.archive import index
from services.audit.service.archive.archiver import Archiver
from services.audit.service.archive.target import KeyRing, Target
from services.audit.service.archive.verification import Verification, Verified
from services.audit.service.archive.writing import Tell
from services.audit.tests.samples import event
from services.audit.tests.world import World

JANUARY = datetime(2020, 1, 1, tzinfo=UTC)
FEBRUARY = datetime(2020, 2, 1, tzinfo=UTC)
MARCH = datetime(2020, 3, 1, tzinfo=UTC)
APRIL = datetime(2020, 4, 1, tzinfo=UTC)
RETENTION = timedelta(days=90)
ALL = datetime(2020, 1, 1, tzinfo=UTC)
"""A time from which everything of these tests is asked for."""

_salts = itertools.count(1)


class Killed(BaseException):
    """The process is gone: nothing catches it."""


def quiet(_step: str, _partition: str, _facts: Mapping[str, object]) -> None:
    """Take no note."""


class Past(World):
    """A log with months of 2020 in it, a store, and archivers; *rows* go into one object."""

    def __init__(
        self,
        fresh: FreshDatabase,
        store: ArchiveStore,
        *,
        clock: Clock | None = None,
        keys: Sequence[bytes] | None = None,
        rows: int = 3,
    ) -> None:
        self.store = store
        self.keys = keys or (secrets.token_bytes(32),)
        self.target = target_of(store, self.keys)
        super().__init__(fresh, target=self.target)
        self.clock = clock or FixedClock(MARCH + RETENTION)
        self.archiver = self.another(rows=rows)
        self._rows = rows

    def another(
        self,
        *,
        store: ArchiveStore | None = None,
        keys: Sequence[bytes] | None = None,
        rows: int = 3,
        personal: timedelta = timedelta(days=36500),
    ) -> Archiver:
        """Return an archiver as another process has one."""
        return Archiver(
            database=Database(self.fresh.app_url, pool_min=1, pool_max=2),
            target=target_of(store or self.store, keys or self.keys),
            outbox=Outbox("audit", OUTBOX, self.clock),
            clock=self.clock,
            metrics=self.archive_numbers,
            retention=RETENTION,
            personal_retention=personal,
            rows_per_object=rows,
        )

    async def month(self, starts: datetime, ends: datetime) -> str:
        """Make the partition of a month long gone; return its name."""
        name = f"{starts:%Y%m%d}"
        async with self.owner() as owner, owner.transaction():
            # A service that starts makes its partitions at this moment: one after the other.
            await owner.execute("SELECT pg_advisory_xact_lock(1734440036, 1)")
            for table in ("audit_log", "audit_personal"):
                await owner.execute(
                    f"CREATE TABLE {table}_{name} PARTITION OF {table}"
                    f" FOR VALUES FROM ('{starts.isoformat()}') TO ('{ends.isoformat()}')"
                )
            insert = "INSERT INTO audit_partitions (name, starts_at, ends_at) VALUES ($1, $2, $3)"
            await owner.execute(insert, name, starts, ends)
        return name

    async def happened(self, *events: CloudEvent, at: datetime) -> None:
        """Record *events* as if they had been received a second apart from *at* on."""
        records = [
            record(
                event,
                received_at=at + timedelta(seconds=number),
                new_salt=lambda: next(_salts).to_bytes(32, "big"),
            )
            for number, event in enumerate(events)
        ]
        async with self.database.transaction() as tx:
            await log.add(tx, records)

    async def archive(self, tell: Tell = quiet) -> int | None:
        """Have the archiver do one pass."""
        return await self.archiver.archive_due(tell)

    async def verify(self, name: str) -> Verified:
        """Read an archive back."""
        verification = Verification(database=self.database, target=self.target)
        return await verification.verify(await self.partition(name), quiet)

    async def partition(self, name: str) -> Any:
        """Return a partition as the archive sees it."""
        async with self.database.transaction() as tx:
            return await index.find_partition(tx, name)

    async def erase(self, user: str) -> None:
        """Have *user* deleted from the platform."""
        await self.deliver(event("identity.user.deleted.v1", data={"user_id": user}))

    async def dropped(self) -> list[str]:
        """Return the names of the partitions that have left."""
        c = AUDIT_PARTITIONS.c
        rows = await self.rows(sa.select(c.name).where(c.dropped_at.is_not(None)).order_by(c.name))
        return [row.name for row in rows]

    async def manifests(self) -> list[Any]:
        """Return what is on record of manifests."""
        return await self.rows(sa.select(ARCHIVE_MANIFESTS).order_by("partition_name"))

    async def objects(self) -> list[Any]:
        """Return what is on record of objects."""
        return await self.rows(sa.select(ARCHIVE_OBJECTS).order_by("partition_name", "number"))

    async def person_keys(self) -> int:
        """Return how many persons have a key."""
        return len(await self.rows(sa.select(ARCHIVE_PERSON_KEYS)))

    async def told(self) -> list[Any]:
        """Return the data of the events that were emitted."""
        c = OUTBOX.outbox.c
        statement = sa.select(c.body).where(c.routing_key == "audit.archive.completed.v1")
        return [row.body["data"] for row in await self.rows(statement.order_by(c.id))]

    @asynccontextmanager
    async def owner(self) -> AsyncIterator[asyncpg.Connection]:
        """Give a connection of the owner."""
        async with admin_connection(self.fresh.owner_url) as connection:
            yield connection

    async def close(self) -> None:
        """Close every connection."""
        await self.archiver.database.close()
        await self.database.close()


def target_of(store: ArchiveStore, keys: Sequence[bytes]) -> Target:
    """Return a target with these keys for sealing and signing."""
    return Target(
        store=store,
        ring=KeyRing(encryption_keys=keys, new_bytes=secrets.token_bytes),
        signer=Signer(keys),
    )


def files(folder: Path, pattern: str) -> list[Path]:
    """Return the files of a folder of archives, in order."""
    return sorted(path for path in folder.glob(pattern) if path.is_file())


def lines(folder: Path, pattern: str = "*") -> bytes:
    """Return everything that can be read in a folder of archives, unpacked."""
    return b"".join(
        gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        for path in files(folder, f"*/{pattern}")
    )


class Breaking:
    """A store that breaks: after *calls* calls it raises *error*; None never.

    *meanwhile* is awaited in every call, before it is done.
    """

    def __init__(
        self,
        store: FolderStore,
        error: BaseException | None = None,
        *,
        calls: int = 0,
        meanwhile: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._store = store
        self.error = error
        self.calls = calls
        self.meanwhile = meanwhile

    @property
    def url(self) -> str:
        """Return where it is."""
        return self._store.url

    async def put(self, name: str, data: bytes) -> None:
        """Store, or break."""
        await self._count()
        await self._store.put(name, data)

    async def get(self, name: str) -> bytes | None:
        """Return an object, or break."""
        await self._count()
        return await self._store.get(name)

    async def has(self, name: str) -> bool:
        """Look, or break."""
        await self._count()
        return await self._store.has(name)

    async def names(self, folder: str) -> Sequence[str]:
        """List, or break."""
        await self._count()
        return await self._store.names(folder)

    async def remove(self, names: Sequence[str]) -> None:
        """Tidy, or break."""
        await self._count()
        await self._store.remove(names)

    async def _count(self) -> None:
        self.calls -= 1
        if self.error is not None and self.calls < 0:
            raise self.error
        if self.meanwhile is not None:
            await self.meanwhile()
