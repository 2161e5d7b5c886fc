"""Write a partition to the store, object by object; each is on record before the next begins."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from chassis.database import Database
from services.audit.domain.archive.errors import PostponedError
from services.audit.domain.archive.manifest import Manifest, name_of
from services.audit.domain.archive.objects import ArchiveObject, Packed, pack
from services.audit.domain.archive.rows import ArchivedRow, Columns, PersonKey, Sealing, Share
from services.audit.repository import log
from services.audit.repository.archive import index, objects, rows
from services.audit.repository.archive.index import Partition
from services.audit.service.archive.metrics import ArchiveMetrics
from services.audit.service.archive.target import Target

ROWS_PER_OBJECT = 2000
"""A few MiB in memory, a fraction of a second of work, one request to the store."""

BYTES_PER_OBJECT = 8 * 1024 * 1024
"""What it is cut to where events are large."""


Tell = Callable[[str, str, Mapping[str, object]], None]
"""Called after every step that is done for good: with its name, its partition, and some facts."""


@dataclass(frozen=True, slots=True)
class _Page:
    columns: Sequence[Columns]
    shares: Mapping[UUID, Sequence[Share]]
    persons: Mapping[UUID, PersonKey]
    sealing: Sealing


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """Writes partitions to *target*; what another attempt has written is taken over."""

    database: Database
    target: Target
    metrics: ArchiveMetrics
    rows_per_object: int = ROWS_PER_OBJECT

    async def write(self, partition: Partition, tell: Tell) -> None:
        """Write objects and manifest of *partition*, and put the manifest on record.

        Raises ArchiveUnavailable, DatabaseUnavailable, PostponedError.
        """
        async with self.database.transaction() as tx:
            written = list(await objects.list_objects(tx, partition.name))
        while page := await self._read(partition, written[-1].last if written else None):
            one = await self._write_object(partition.name, len(written), page)
            written.append(one)
            tell("object_written", partition.name, {"number": one.number, "rows": one.row_count})
        await self._write_manifest(partition, written, tell)

    async def _read(self, partition: Partition, after: rows.Place | None) -> _Page | None:
        """Read the next rows, and have a key for everybody in them.

        No erasure happens in this transaction: whoever is still in the side table is not erased,
        and has a key before a word of them is written. An erasure later on deletes the key.
        """
        async with self.database.transaction() as tx:
            await log.begin_writing(tx, erasing=False)
            columns = await rows.list_rows(
                tx,
                after,
                period=partition.period,
                limit=self.rows_per_object,
                most_bytes=BYTES_PER_OBJECT,
            )
            if not columns:
                return None
            shares = await rows.list_shares(tx, columns[0].place, columns[-1].place)
            persons = {s.person_id for each in shares.values() for s in each} - {None}
            ring = self.target.ring
            key = await ring.ensure_partition(tx, partition.name)
            known = await ring.ensure_persons(tx, {p for p in persons if p is not None})
        return _Page(columns, shares, known, Sealing(partition=partition.name, key=key))

    async def _write_object(self, partition: str, number: int, page: _Page) -> ArchiveObject:
        packed = await asyncio.to_thread(_pack, partition, number, page)
        one = packed.described
        await self.target.store.put(one.name, packed.data)
        async with self.database.transaction() as tx:
            await objects.add_object(tx, partition, packed)
        self.metrics.rows.inc(one.row_count)
        self.metrics.bytes.inc(one.size)
        return one

    async def _write_manifest(
        self, partition: Partition, written: Sequence[ArchiveObject], tell: Tell
    ) -> None:
        async with self.database.transaction() as tx:
            previous = await index.find_previous(tx, partition)
        manifest = Manifest.of(partition.name, partition.period, written, previous=previous)
        if manifest.sequenced not in (0, manifest.row_count):
            # The sequencer is at it: what is written now would be out of date at once.
            async with self.database.transaction() as tx:
                await index.discard(tx, partition.name)
            raise PostponedError("not_sequenced")
        envelope = self.target.signer.sign(manifest.to_bytes())
        name = name_of(partition.name, envelope)
        await self.target.store.put(name, envelope)
        tell("manifest_written", partition.name, {"rows": manifest.row_count})
        async with self.database.transaction() as tx:
            await index.register(
                tx,
                partition.name,
                location=f"{self.target.store.url}/{name}",
                row_count=manifest.row_count,
                sequenced=manifest.sequenced,
                manifest=envelope,
            )
        tell("manifest_registered", partition.name, {"rows": manifest.row_count})


def _pack(partition: str, number: int, page: _Page) -> Packed:
    """Seal and pack a page of rows: some hundred milliseconds of work, for a thread."""
    sealed = [_sealed(columns, page) for columns in page.columns]
    owners = {known.key_id for known in page.persons.values()}
    return pack(partition, number, sealed, owners=owners)


def _sealed(columns: Columns, page: _Page) -> ArchivedRow:
    shares = (
        page.sealing.seal(columns, s, page.persons[s.person_id] if s.person_id else None)
        for s in page.shares.get(columns.event_id, ())
    )
    return ArchivedRow(columns, tuple(shares))
