"""The objects that have been written: what they are, and which may hold an answer."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from chassis.database import Transaction
from services.audit.domain.archive.contents import positions
from services.audit.domain.archive.objects import ArchiveObject, Packed
from services.audit.domain.filters import Cursor, Filters
from services.audit.models import ARCHIVE_OBJECTS, AUDIT_PARTITIONS
from services.audit.repository.archive.refusals import or_postponed

_objects, _partitions = ARCHIVE_OBJECTS.c, AUDIT_PARTITIONS.c

# The filters stay in the database: those of a large partition would fill the memory.
_DESCRIBED = [column for column in _objects if column.name != "contents"]

_SAME = (
    "number",
    "name",
    "row_count",
    "size",
    "sha256",
    "sequenced",
    "first_leaf_index",
    "last_leaf_index",
)


async def list_objects(tx: Transaction, partition: str) -> Sequence[ArchiveObject]:
    """Return what has been written of *partition*, in order."""
    statement = (
        sa.select(*_DESCRIBED).where(_objects.partition_name == partition).order_by(_objects.number)
    )
    return [_object(row) for row in await tx.execute(statement)]


async def add_object(tx: Transaction, partition: str, packed: Packed) -> None:
    """Note that an object was written. Raises PostponedError when another one was in its place."""
    one = packed.described
    values = {
        "partition_name": partition,
        "contents": packed.contents,
        "first_received_at": one.first[0],
        "first_event_id": one.first[1],
        "last_received_at": one.last[0],
        "last_event_id": one.last[1],
        "types": list(one.types),
    } | {name: getattr(one, name) for name in _SAME}
    async with or_postponed():
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
        sa.select(*_DESCRIBED)
        .join(AUDIT_PARTITIONS, _partitions.name == _objects.partition_name)
        .where(_partitions.dropped_at.is_not(None), *_conditions(filters, after, holding))
        .order_by(_objects.last_received_at.desc(), _objects.last_event_id.desc())
        .limit(limit)
    )
    return [(row.partition_name, _object(row)) for row in await tx.execute(statement)]


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


def _object(row: Any) -> ArchiveObject:
    return ArchiveObject(
        first=(row.first_received_at, row.first_event_id),
        last=(row.last_received_at, row.last_event_id),
        types=tuple(row.types),
        **{name: getattr(row, name) for name in _SAME},
    )
