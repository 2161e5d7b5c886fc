"""Read an archive back and compare it with what it claims, and with what is still in the tables."""

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chassis.database import Database
from services.audit.domain.archive.errors import DamagedError
from services.audit.domain.archive.manifest import Manifest, name_of
from services.audit.domain.archive.objects import ArchiveObject, unpack
from services.audit.domain.archive.rows import ArchivedRow, Sealing, owners_of
from services.audit.domain.leaves import verifies
from services.audit.repository.archive import index, objects, rows
from services.audit.repository.archive.index import Partition
from services.audit.service.archive.target import Target
from services.audit.service.archive.writing import Tell

_Closed = tuple[datetime, UUID, str]
"""Place and party of a share that the archive does not show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What was found; `closed_shares` are of erased persons, or past their time."""

    rows: int
    objects: int
    open_shares: int
    closed_shares: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """Reads archives back from *target*."""

    database: Database
    target: Target

    async def verify(self, partition: Partition, tell: Tell) -> Verified:
        """Check signature, chain, hashes, counts, order, and every commitment that can be checked.

        While the partition is in the database, no share of its side table may be missing in the
        archive. Raises DamagedError, ArchiveUnavailable, DatabaseUnavailable.
        """
        async with self.database.transaction() as tx:
            written = await objects.list_objects(tx, partition.name)
            previous = await index.find_previous(tx, partition)
            key = (await self.target.ring.find_partitions(tx, [partition.name])).get(partition.name)
        await self._check_manifest(partition, written, previous)
        sealing = None if key is None else Sealing(partition=partition.name, key=key)
        opened = closed = 0
        for one in written:
            checked = await self._check_object(partition, one, sealing)
            opened, closed = opened + checked[0], closed + checked[1]
            tell("object_verified", partition.name, {"number": one.number, "rows": one.row_count})
        return Verified(
            rows=sum(one.row_count for one in written),
            objects=len(written),
            open_shares=opened,
            closed_shares=closed,
        )

    async def _check_manifest(
        self, partition: Partition, written: Sequence[ArchiveObject], previous: bytes | None
    ) -> None:
        recorded = partition.manifest
        if recorded is None or hashlib.sha256(recorded).digest() != partition.sha256:
            raise DamagedError("the database has no sound manifest")
        if await self.target.store.get(name_of(partition.name, recorded)) != recorded:
            raise DamagedError("the manifest in the store is missing or another one")
        expected = Manifest.of(partition.name, partition.period, written, previous=previous)
        if self.target.signer.open(recorded) != expected.to_bytes():
            raise DamagedError(
                "the manifest says something else than the index, or its chain broke"
            )
        ends = [place for one in written for place in (one.first, one.last)]
        inside = not ends or (partition.starts_at <= ends[0][0] and ends[-1][0] < partition.ends_at)
        if ends != sorted(ends) or not inside or expected.row_count != partition.row_count:
            raise DamagedError("the objects are out of order, out of the period, or too few")

    async def _check_object(
        self, partition: Partition, one: ArchiveObject, sealing: Sealing | None
    ) -> tuple[int, int]:
        """Return how many shares of an object could be opened, and how many could not."""
        data = await self.target.store.get(one.name)
        if data is None:
            raise DamagedError(f"{one.name} is missing")
        found = await asyncio.to_thread(unpack, one, data)
        keys: Mapping[bytes, bytes] = {}
        if sealing is not None:
            owners = await asyncio.to_thread(owners_of, sealing, found)
            async with self.database.transaction() as tx:
                keys = await self.target.ring.find_by_id(tx, owners)
        opened, closed = await asyncio.to_thread(_check_rows, found, sealing, keys)
        if closed and partition.dropped_at is None:
            async with self.database.transaction() as tx:
                left = await rows.count_left(tx, closed)
            if left:
                raise DamagedError(f"{one.name} does not show {left} shares of living persons")
        return opened, len(closed)


def _check_rows(
    found: Sequence[ArchivedRow], sealing: Sealing | None, keys: Mapping[bytes, bytes]
) -> tuple[int, list[_Closed]]:
    opened = 0
    closed: list[_Closed] = []
    for row in found:
        committed = _committed(row)
        shown = set()
        for share in row.shares if sealing is not None else ():
            plain = sealing.open(row.columns, share, keys) if sealing is not None else None
            if plain is None:
                continue
            expected = committed.get(plain.party, "")
            if not verifies(expected, salt=plain.salt, body=plain.body):
                raise DamagedError(f"{row.columns.event_id} is not what its leaf committed to")
            shown.add(plain.party)
        opened += len(shown)
        closed += [(*row.columns.place, party) for party in committed.keys() - shown]
    return opened, closed


def _committed(row: ArchivedRow) -> dict[str, str]:
    """Return the commitments of the row's leaf. Raises DamagedError when it is another row's."""
    try:
        leaf = json.loads(row.columns.leaf_bytes)
        commitments: dict[str, str] = dict(leaf["pii_commit"])
        if leaf["event_id"] == str(row.columns.event_id):
            return commitments
    except (ValueError, TypeError, KeyError):
        pass
    raise DamagedError(f"the leaf of {row.columns.event_id} is not one")
