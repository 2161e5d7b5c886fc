"""An object of the archive: some thousand rows in the order of the log, as gzip'd JSON Lines."""

import gzip
import hashlib
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from services.audit.domain.archive.contents import filter_of
from services.audit.domain.archive.errors import DamagedError
from services.audit.domain.archive.rows import ArchivedRow, read_line

_MAX_BYTES = 256 * 1024 * 1024
"""More than any object is unpacked: who tampers with one must not fill the memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveObject:
    """What the index and the manifest say of one object; `size` is in bytes, compressed."""

    number: int
    name: str
    row_count: int
    size: int
    sha256: bytes
    first: tuple[datetime, UUID]
    last: tuple[datetime, UUID]
    types: tuple[str, ...]
    sequenced: int
    first_leaf_index: int | None
    last_leaf_index: int | None


@dataclass(frozen=True, slots=True)
class Packed:
    """An object to be stored; `contents` is the filter by which it is found."""

    described: ArchiveObject
    data: bytes
    contents: bytes


def pack(
    partition: str, number: int, rows: Sequence[ArchivedRow], *, owners: Iterable[bytes]
) -> Packed:
    """Make the object *number* of *rows* (at least one), with the keys of these *owners*.

    The name tells the content: an object is never written over, so that a second archiver, or a
    second attempt, spoils nothing.
    """
    data = gzip.compress(b"".join(row.to_line() for row in rows), mtime=0)
    sha256 = hashlib.sha256(data).digest()
    columns = [row.columns for row in rows]
    leaves = [c.leaf_index for c in columns if c.leaf_index is not None]
    described = ArchiveObject(
        number=number,
        name=f"{partition}/{number:06d}-{sha256.hex()[:16]}.jsonl.gz",
        row_count=len(rows),
        size=len(data),
        sha256=sha256,
        first=columns[0].place,
        last=columns[-1].place,
        types=tuple(sorted({c.type for c in columns})),
        sequenced=len(leaves),
        first_leaf_index=min(leaves, default=None),
        last_leaf_index=max(leaves, default=None),
    )
    return Packed(described, data, filter_of([*(c.event_id.bytes for c in columns), *owners]))


def unpack(described: ArchiveObject, data: bytes) -> list[ArchivedRow]:
    """Return the rows of an object. Raises DamagedError unless it is the one *described*."""
    if hashlib.sha256(data).digest() != described.sha256:
        raise DamagedError(f"{described.name} is not the object that was written")
    rows = [read_line(line) for line in _inflate(described.name, data).splitlines()]
    places = [row.columns.place for row in rows]
    if len(rows) != described.row_count or places != sorted(set(places)):
        raise DamagedError(f"{described.name} has not the rows it should have")
    if not rows or (places[0], places[-1]) != (described.first, described.last):
        raise DamagedError(f"{described.name} does not span what it should")
    return rows


def _inflate(name: str, data: bytes) -> bytes:
    inflater: Any = zlib.decompressobj(wbits=31)
    try:
        lines: bytes = inflater.decompress(data, _MAX_BYTES)
    except zlib.error:
        raise DamagedError(f"{name} cannot be unpacked") from None
    if not inflater.eof:
        raise DamagedError(f"{name} is cut short, or too long")
    return lines
