"""Which partitions are due, their manifests, and the owner's functions that let them go."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from chassis.database import Transaction
from services.audit.models import ARCHIVE_MANIFESTS, AUDIT_PARTITIONS
from services.audit.repository.archive.refusals import or_postponed

_ARCHIVER_LOCK = (1734440036, 5)

_manifests, _partitions = ARCHIVE_MANIFESTS.c, AUDIT_PARTITIONS.c


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
    async with or_postponed():
        await tx.execute(sa.select(call))


async def confirm(tx: Transaction, partition: str, sha256: bytes) -> bool:
    """Say that the archive was read back and is whole; False when that was said before."""
    confirmed: bool = await tx.scalar(sa.select(sa.func.confirm_archive(partition, sha256)))
    return confirmed


async def discard(tx: Transaction, partition: str) -> bool:
    """Forget an unverified archive; False when there is none that may be forgotten."""
    async with or_postponed():
        discarded: bool = await tx.scalar(sa.select(sa.func.discard_archive(partition)))
    return discarded


async def drop(tx: Transaction, partition: str) -> int:
    """Have the owner's function drop *partition*; return its rows. Raises PostponedError."""
    async with or_postponed():
        dropped: int = await tx.scalar(sa.select(sa.func.drop_archived_partition(partition)))
    return dropped


def _select_partitions() -> sa.Select[Any]:
    return (
        sa.select(
            *AUDIT_PARTITIONS.c["name", "starts_at", "ends_at", "dropped_at"],
            *ARCHIVE_MANIFESTS.c["location", "row_count", "sha256", "manifest", "verified_at"],
        )
        .outerjoin(ARCHIVE_MANIFESTS, _manifests.partition_name == _partitions.name)
        .order_by(_partitions.starts_at)
    )
