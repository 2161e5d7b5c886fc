"""Which partitions are due, what has been archived of them, and the owner's functions."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from chassis.database import Transaction
from services.audit.domain.archive.contents import positions
from services.audit.domain.archive.errors import PostponedError
from services.audit.domain.archive.objects import ArchiveObject
from services.audit.domain.filters import Cursor, Filters
from services.audit.models import ARCHIVE_MANIFESTS, ARCHIVE_OBJECTS, AUDIT_PARTITIONS

_ARCHIVER_LOCK = (1734440036, 4)
_NOT_NOW = {"55000": "refused_by_database", "55P03": "table_in_use"}

_objects, _manifests, _partitions = ARCHIVE_OBJECTS.c, ARCHIVE_MANIFESTS.c, AUDIT_PARTITIONS.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """A registered partition; `manifest` is None until one was written."""

    name: str
    starts_at: datetime
    ends_at: datetime
    dropped_at: datetime | None
    location: str | None
    row_count: int | None
    sha256: bytes | None
    manifest: bytes | None
    verified_at: datetime | None

    @property
    def period(self) -> tuple[datetime, datetime]:
        """Return its first moment, and the first behind it."""
        return self.starts_at, self.ends_at


async def claim_lead(tx: Transaction) -> bool:
    """Become the one archiver until *tx* ends; False when another one is.

    *tx* does nothing else, and may last longer than a database lets idle transactions be.
    """
    await tx.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = 0"))
    claimed: bool = await tx.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(*_ARCHIVER_LOCK)))
    return claimed


async def list_due(tx: Transaction, *, ended_before: datetime) -> Sequence[Partition]:
    """Return the partitions of which everything is older than that, the oldest first."""
    statement = _select_partitions().where(
        _partitions.ends_at <= ended_before, _partitions.dropped_at.is_(None)
    )
    return [Partition(**row) for row in (await tx.execute(statement)).mappings()]


async def list_archived(tx: Transaction) -> Sequence[Partition]:
    """Return all partitions that have a manifest, the oldest first."""
    statement = _select_partitions().where(_manifests.partition_name.is_not(None))
    return [Partition(**row) for row in (await tx.execute(statement)).mappings()]


async def find_partition(tx: Transaction, name: str) -> Partition | None:
    """Return a partition by its name."""
    statement = _select_partitions().where(_partitions.name == name)
    row = (await tx.execute(statement)).mappings().one_or_none()
    return None if row is None else Partition(**row)


async def find_previous(tx: Transaction, partition: Partition) -> bytes | None:
    """Return the SHA-256 of the last verified manifest before *partition*."""
    statement = (
        sa.select(_manifests.sha256)
        .join(AUDIT_PARTITIONS, _partitions.name == _manifests.partition_name)
        .where(_partitions.starts_at < partition.starts_at, _manifests.verified_at.is_not(None))
        .order_by(_partitions.starts_at.desc())
        .limit(1)
    )
    found = await tx.scalar(statement)
    return None if found is None else bytes(found)


async def last_verified_at(tx: Transaction) -> datetime | None:
    """Return when a partition was last archived."""
    found: datetime | None = await tx.scalar(sa.select(sa.func.max(_manifests.verified_at)))
    return found


async def list_objects(tx: Transaction, partition: str) -> Sequence[ArchiveObject]:
    """Return what has been written of *partition*, in order."""
    statement = (
        sa.select(ARCHIVE_OBJECTS)
        .where(_objects.partition_name == partition)
        .order_by(_objects.number)
    )
    return [_object(row) for row in await tx.execute(statement)]


async def add_object(tx: Transaction, partition: str, one: ArchiveObject) -> None:
    """Note that an object was written. Raises PostponedError when another one was in its place."""
    values = {
        "partition_name": partition,
        "first_received_at": one.first[0],
        "first_event_id": one.first[1],
        "last_received_at": one.last[0],
        "last_event_id": one.last[1],
        "types": list(one.types),
    } | {name: getattr(one, name) for name in _SAME}
    async with _or_postponed():
        await tx.execute(sa.insert(ARCHIVE_OBJECTS).values(values))


async def search(
    tx: Transaction,
    filters: Filters,
    *,
    after: Cursor | None = None,
    holding: bytes | None = None,
    limit: int,
) -> Sequence[tuple[str, ArchiveObject]]:
    """Return the objects of dropped partitions that may hold an answer, the newest first.

    Each comes with its partition's name; *holding* is an event's or a key's id.
    """
    statement = (
        sa.select(ARCHIVE_OBJECTS)
        .join(AUDIT_PARTITIONS, _partitions.name == _objects.partition_name)
        .where(_partitions.dropped_at.is_not(None), *_conditions(filters, after, holding))
        .order_by(_objects.last_received_at.desc(), _objects.last_event_id.desc())
        .limit(limit)
    )
    return [(row.partition_name, _object(row)) for row in await tx.execute(statement)]


async def register(
    tx: Transaction,
    partition: str,
    *,
    location: str,
    row_count: int,
    sequenced: int,
    manifest: bytes,
) -> None:
    """Put the signed manifest on record. Raises PostponedError."""
    call = sa.func.register_archive(partition, location, row_count, sequenced, manifest)
    async with _or_postponed():
        await tx.execute(sa.select(call))


async def confirm(tx: Transaction, partition: str, sha256: bytes) -> bool:
    """Say that the archive was read back and is whole; False when that was said before."""
    confirmed: bool = await tx.scalar(sa.select(sa.func.confirm_archive(partition, sha256)))
    return confirmed


async def discard(tx: Transaction, partition: str) -> bool:
    """Forget an unverified archive; False when there is none that may be forgotten."""
    async with _or_postponed():
        discarded: bool = await tx.scalar(sa.select(sa.func.discard_archive(partition)))
    return discarded


async def drop(tx: Transaction, partition: str) -> int:
    """Have the owner's function drop *partition*; return its rows. Raises PostponedError."""
    async with _or_postponed():
        dropped: int = await tx.scalar(sa.select(sa.func.drop_archived_partition(partition)))
    return dropped


_SAME = (
    "number",
    "name",
    "row_count",
    "size",
    "sha256",
    "contents",
    "sequenced",
    "first_leaf_index",
    "last_leaf_index",
)


def _conditions(
    filters: Filters, after: Cursor | None, holding: bytes | None
) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if filters.since is not None:
        conditions.append(_objects.last_received_at >= filters.since)
    if filters.until is not None:
        conditions.append(_objects.first_received_at < filters.until)
    if after is not None:
        first = sa.tuple_(_objects.first_received_at, _objects.first_event_id)
        conditions.append(first < sa.tuple_(*_literals(after)))
    if filters.type is not None:
        conditions.append(_objects.types.contains([filters.type]))
    if holding is not None:
        conditions += [
            sa.func.get_bit(_objects.contents, sa.cast(position, sa.BigInteger)) == 1
            for position in positions(holding)
        ]
    return conditions


def _literals(cursor: Cursor) -> tuple[sa.ColumnElement[Any], ...]:
    return (
        sa.literal(cursor.received_at, _objects.first_received_at.type),
        sa.literal(cursor.event_id, _objects.first_event_id.type),
    )


def _select_partitions() -> sa.Select[Any]:
    return (
        sa.select(
            *AUDIT_PARTITIONS.c["name", "starts_at", "ends_at", "dropped_at"],
            *ARCHIVE_MANIFESTS.c["location", "row_count", "sha256", "manifest", "verified_at"],
        )
        .outerjoin(ARCHIVE_MANIFESTS, _manifests.partition_name == _partitions.name)
        .order_by(_partitions.starts_at)
    )


def _object(row: Any) -> ArchiveObject:
    return ArchiveObject(
        first=(row.first_received_at, row.first_event_id),
        last=(row.last_received_at, row.last_event_id),
        types=tuple(row.types),
        **{name: getattr(row, name) for name in _SAME},
    )


@asynccontextmanager
async def _or_postponed() -> AsyncIterator[None]:
    """Give the database's "not like this" and "not now" their names."""
    try:
        yield
    except DBAPIError as error:
        state = str(getattr(error.orig, "sqlstate", ""))
        if state == "23505":
            raise PostponedError("another_archiver") from error
        if state not in _NOT_NOW:
            raise
        raise PostponedError(_NOT_NOW[state]) from error
