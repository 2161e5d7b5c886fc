"""Answer readers from the archives: newest first, object by object, at a bounded cost per page."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from chassis.database import Database, Transaction
from chassis.logs import get_logger
from services.audit.domain.archive.errors import DamagedError
from services.audit.domain.archive.matching import asks_for_persons, in_question, matches
from services.audit.domain.archive.objects import ArchiveObject, unpack
from services.audit.domain.archive.rows import ArchivedRow, Sealing, Share, owners_of
from services.audit.domain.archive.slices import Slice, place
from services.audit.domain.classification import uuid_of
from services.audit.domain.entries import Entry
from services.audit.domain.filters import Cursor, Filters
from services.audit.errors import ArchiveDamaged, ArchiveUnavailable
from services.audit.repository.archive import keys, objects
from services.audit.service.archive.metrics import ArchiveMetrics
from services.audit.service.archive.target import Target

OBJECTS_PER_PAGE = 10
"""How much one page looks through: 20 000 rows. What lies beyond is for the next page."""

SECONDS_PER_PAGE = 10.0

T = TypeVar("T")
log = get_logger(__name__)

_Candidate = tuple[str, ArchiveObject]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The objects that may hold an answer, the newest first; `more`: there are others behind.

    `owner` is the id of the key without which no row is an answer.
    """

    candidates: Sequence[_Candidate]
    more: bool
    owner: bytes | None

    def below(self, cursor: Cursor) -> bool:
        """Say whether all of it lies below *cursor*."""
        return self.candidates[0][1].last < (cursor.received_at, cursor.event_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveReading:
    """Reads the archives in *target*; without one, what is archived cannot be read."""

    database: Database
    target: Target | None
    metrics: ArchiveMetrics
    objects_per_page: int = OBJECTS_PER_PAGE

    async def plan(self, tx: Transaction, filters: Filters, *, after: Cursor | None) -> Plan | None:
        """Say where to look besides the tables, in the transaction that has read them.

        It holds a lock that keeps partitions from being dropped, so that no row is seen twice or
        not at all. Archives are asked only when a time is given from which to read, or for a
        person's own rows.
        """
        if filters.since is None and filters.person_id is None:
            return None
        person = filters.person_id or uuid_of(filters.actor)
        owner = None
        if person is not None:
            owner = (await keys.find_persons(tx, [person])).get(person, (None, ""))[0]
            if owner is None:
                return None  # nothing of this person is archived, or can be read any more
        wanted = self.objects_per_page + 1
        found = await objects.search(tx, filters, after=after, holding=owner, limit=wanted)
        if not found:
            return None
        shown = found[: self.objects_per_page]
        return Plan(candidates=shown, more=len(found) > len(shown), owner=owner)

    async def read(
        self, plan: Plan, filters: Filters, *, after: Cursor | None, limit: int
    ) -> Slice:
        """Return what *plan* finds. Raises ArchiveUnavailable, ArchiveDamaged."""
        entries: list[Entry] = []
        loop = asyncio.get_running_loop()
        stop_at = loop.time() + SECONDS_PER_PAGE
        for count, (partition, one) in enumerate(plan.candidates, 1):
            rows = [
                row
                for row in reversed(await self._fetch(one))
                if in_question(row.columns, filters, after=after)
            ]
            missing = limit - len(entries)
            if not asks_for_persons(filters):
                rows = rows[:missing]
            found = await self._opened(partition, rows, filters, owner=plan.owner)
            entries += found[:missing]
            if len(entries) >= limit:
                return Slice(entries, place(entries[-1]))
            if loop.time() >= stop_at and (plan.more or count < len(plan.candidates)):
                return Slice(entries, Cursor(*one.first))
        last = plan.candidates[-1][1]
        return Slice(entries, Cursor(*last.first) if plan.more else None)

    async def find_entry(self, event_id: UUID) -> Entry | None:
        """Return the entry of one archived event, or None.

        Raises ArchiveUnavailable, ArchiveDamaged.
        """
        after: Cursor | None = None
        loop = asyncio.get_running_loop()
        stop_at = loop.time() + SECONDS_PER_PAGE
        while found := await self._holding(event_id, after):
            for partition, one in found:
                rows = await self._fetch(one)
                rows = [row for row in rows if row.columns.event_id == event_id]
                if rows:
                    return (await self._opened(partition, rows, Filters(), owner=None))[0]
                after = Cursor(*one.first)
            if loop.time() >= stop_at:
                raise ArchiveUnavailable
        return None

    async def check(self, plan: Plan) -> None:
        """See to it that an answer can be begun. Raises ArchiveUnavailable."""
        _, newest = plan.candidates[0]
        if not await self._asked(self._target().store.has(newest.name)):
            raise self._damaged(DamagedError(f"{newest.name} is missing"))

    async def _holding(self, event_id: UUID, after: Cursor | None) -> Sequence[_Candidate]:
        async with self.database.transaction() as tx:
            return await objects.search(
                tx, Filters(), after=after, holding=event_id.bytes, limit=self.objects_per_page
            )

    async def _fetch(self, one: ArchiveObject) -> list[ArchivedRow]:
        data = await self._asked(self._target().store.get(one.name))
        self.metrics.objects_read.inc()
        try:
            return await asyncio.to_thread(_unpack, one, data)
        except DamagedError as error:
            raise self._damaged(error) from None

    async def _opened(
        self,
        partition: str,
        rows: Sequence[ArchivedRow],
        filters: Filters,
        *,
        owner: bytes | None,
    ) -> list[Entry]:
        """Open what may still be opened of *rows*; return those that match.

        With *owner*, only rows that have a share under that key.
        """
        ring = self._target().ring
        try:
            async with self.database.transaction() as tx:
                key = (await ring.find_partitions(tx, [partition])).get(partition)
            if key is None:
                return _matching([(row, ()) for row in rows], filters)
            sealing = Sealing(partition=partition, key=key)
            rows, owners = await asyncio.to_thread(_owned, sealing, rows, owner)
            async with self.database.transaction() as tx:
                known = await ring.find_by_id(tx, owners)
            return await asyncio.to_thread(_open, sealing, rows, known, filters)
        except DamagedError as error:
            raise self._damaged(error) from None

    async def _asked(self, call: Coroutine[Any, Any, T]) -> T:
        """Wait for the store as long as a reader may: less than the gateway waits for us."""
        try:
            async with asyncio.timeout(SECONDS_PER_PAGE):
                return await call
        except TimeoutError:
            self.metrics.failures.labels("store_unavailable").inc()
            raise ArchiveUnavailable("The store took too long.") from None
        except ArchiveUnavailable:
            self.metrics.failures.labels("store_unavailable").inc()
            raise

    def _target(self) -> Target:
        if self.target is None:
            raise ArchiveUnavailable("No store is configured for it.")
        return self.target

    def _damaged(self, error: DamagedError) -> ArchiveDamaged:
        self.metrics.failures.labels("damaged").inc()
        log.error("archive.not_read", reason="damaged", detail=str(error))
        return ArchiveDamaged()


def _unpack(one: ArchiveObject, data: bytes | None) -> list[ArchivedRow]:
    if data is None:
        raise DamagedError(f"{one.name} is missing")
    return unpack(one, data)


def _owned(
    sealing: Sealing, rows: Sequence[ArchivedRow], owner: bytes | None
) -> tuple[Sequence[ArchivedRow], set[bytes]]:
    """Return the rows to open, and the ids of all keys they need."""
    if owner is not None:
        rows = [row for row in rows if owner in owners_of(sealing, [row])]
    return rows, owners_of(sealing, rows)


def _open(
    sealing: Sealing,
    rows: Sequence[ArchivedRow],
    known: Mapping[bytes, bytes],
    filters: Filters,
) -> list[Entry]:
    """Open all shares: up to some hundred milliseconds of work, for a thread."""
    opened = []
    for row in rows:
        shares = (sealing.open(row.columns, share, known) for share in row.shares)
        opened.append((row, [share for share in shares if share is not None]))
    return _matching(opened, filters)


def _matching(
    opened: Sequence[tuple[ArchivedRow, Sequence[Share]]], filters: Filters
) -> list[Entry]:
    return [
        _entry(row, shares, filters)
        for row, shares in opened
        if matches(row.columns, shares, filters)
    ]


def _entry(row: ArchivedRow, shares: Sequence[Share], filters: Filters) -> Entry:
    """Return a row as readers see it; of one person's own rows only their own shares."""
    columns = row.columns
    return Entry(
        event_id=columns.event_id,
        received_at=columns.received_at,
        occurred_at=columns.occurred_at,
        type=columns.type,
        source=columns.source,
        outcome=columns.outcome,
        trace_id=columns.trace_id,
        leaf_bytes=columns.leaf_bytes,
        bodies=[share.body for share in shares if filters.person_id in (None, share.person_id)],
    )
