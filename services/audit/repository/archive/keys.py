"""The keys of the archives, sealed: one per person, one per partition."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from chassis.database import Transaction
from services.audit.models import ARCHIVE_PARTITION_KEYS, ARCHIVE_PERSON_KEYS, AUDIT_PARTITIONS

_persons, _partitions = ARCHIVE_PERSON_KEYS.c, ARCHIVE_PARTITION_KEYS.c

PersonRow = tuple[bytes, str]
"""The id of a key, and the sealed key."""


async def find_persons(tx: Transaction, persons: Collection[UUID]) -> dict[UUID, PersonRow]:
    """Return the keys of those *persons* who have one."""
    by_digest = {digest_of(person): person for person in persons}
    statement = sa.select(ARCHIVE_PERSON_KEYS).where(_persons.digest.in_(by_digest))
    return {
        by_digest[bytes(row.digest)]: (bytes(row.key_id), row.sealed)
        for row in await tx.execute(statement)
    }


async def add_persons(tx: Transaction, rows: Mapping[UUID, PersonRow]) -> None:
    """Keep a key for each of these persons, unless somebody was faster."""
    # In one order, so that two who add the same persons never wait in a circle.
    values = sorted((digest_of(person), *row) for person, row in rows.items())
    names = ("digest", "key_id", "sealed")
    statement = insert(ARCHIVE_PERSON_KEYS).on_conflict_do_nothing()
    await tx.execute(statement, [dict(zip(names, each, strict=True)) for each in values])


async def list_by_id(tx: Transaction, key_ids: Collection[bytes]) -> dict[bytes, str]:
    """Return the sealed keys that are there of *key_ids*."""
    statement = sa.select(_persons.key_id, _persons.sealed).where(_persons.key_id.in_(key_ids))
    return {bytes(row.key_id): row.sealed for row in await tx.execute(statement)}


async def add_partition(tx: Transaction, partition: str, sealed: str) -> None:
    """Keep a key for *partition*, unless it has one."""
    values = {"partition_name": partition, "sealed": sealed}
    await tx.execute(insert(ARCHIVE_PARTITION_KEYS).values(values).on_conflict_do_nothing())


async def list_partitions(tx: Transaction, names: Collection[str]) -> dict[str, str]:
    """Return the sealed keys of those partitions that still have one."""
    statement = sa.select(ARCHIVE_PARTITION_KEYS).where(_partitions.partition_name.in_(names))
    return {row.partition_name: row.sealed for row in await tx.execute(statement)}


async def remove_expired(tx: Transaction, *, ended_before: datetime) -> Sequence[str]:
    """Delete the keys of dropped partitions that ended before then; return their names."""
    over = sa.select(AUDIT_PARTITIONS.c.name).where(
        AUDIT_PARTITIONS.c.ends_at <= ended_before, AUDIT_PARTITIONS.c.dropped_at.is_not(None)
    )
    statement = sa.delete(ARCHIVE_PARTITION_KEYS).where(_partitions.partition_name.in_(over))
    return list((await tx.execute(statement.returning(_partitions.partition_name))).scalars())


async def list_sealed_otherwise(
    tx: Transaction, prefix: str, *, limit: int
) -> Sequence[tuple[Any, str | bytes, str]]:
    """Return boxes that do not begin with *prefix*: the row for `reseal`, its name, the box.

    The name is that of a partition, or the id of a person's key.
    """
    found: list[tuple[Any, str | bytes, str]] = []
    for name in (_partitions.partition_name, _persons.key_id):
        sealed = name.table.c.sealed
        statement = sa.select(name, sealed).where(sa.func.left(sealed, len(prefix)) != prefix)
        rows = await tx.execute(statement.limit(limit - len(found)))
        found += [
            ((name, getattr(row, name.key)), getattr(row, name.key), row.sealed) for row in rows
        ]
    return found


async def reseal(tx: Transaction, row: Any, *, was: str, now: str) -> None:
    """Put another box in the place of one; nothing comes back of a row deleted meanwhile."""
    name, value = row
    sealed = name.table.c.sealed
    await tx.execute(sa.update(name.table).where(name == value, sealed == was).values(sealed=now))


def digest_of(person: UUID) -> bytes:
    """Return what a person's key is kept by."""
    return hashlib.sha256(str(person).encode()).digest()
