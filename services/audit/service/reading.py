"""Read the log; each read becomes a row of it, in the same transaction (16.3: no silent reader)."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal
from uuid import UUID

from chassis.caller import Caller, Principal
from chassis.clock import Clock
from chassis.database import Database, Transaction
from chassis.errors import Unauthenticated
from chassis.ids import uuid7
from contracts.envelope import CloudEvent, format_time
from services.audit.domain.archive.slices import Slice, merge, place
from services.audit.domain.classification import LOG_READ
from services.audit.domain.entries import Entry
from services.audit.domain.filters import Cursor, Filters, may_read
from services.audit.errors import EntryNotFound, ReaderRoleRequired
from services.audit.repository import entries
from services.audit.service.archive.reading import ArchiveReading
from services.audit.service.recording import Recording

SOURCE = "audit"

_EXPORT_PAGE = 500

View = Literal["list", "entry", "export", "own_export"]


@dataclass(frozen=True, slots=True)
class Page:
    """Entries, newest first; `next_cursor` is None on the last page."""

    entries: Sequence[Entry]
    next_cursor: Cursor | None


_Tell = Callable[..., Awaitable[None]]
"""Records the read, in the transaction given."""


class Reading:
    """Shows the log, its tables and its archives as one, to those who may see it."""

    def __init__(
        self,
        database: Database,
        recording: Recording,
        clock: Clock,
        *,
        archives: ArchiveReading,
    ) -> None:
        self._database = database
        self._recording = recording
        self._clock = clock
        self._archives = archives

    async def list_entries(
        self, caller: Caller, filters: Filters, *, after: Cursor | None, limit: int
    ) -> Page:
        """Return one page; with a search in archives it may be short, or empty, and go on.

        Raises Unauthenticated, ReaderRoleRequired, ArchiveUnavailable, ArchiveDamaged.
        """
        _require_reader(caller)

        async def tell(tx: Transaction, page: Page) -> None:
            await self._tell(tx, caller, "list", filters, rows=len(page.entries))

        return await self._page(filters, after=after, limit=limit, tell=tell)

    async def get_entry(self, caller: Caller, event_id: UUID) -> Entry:
        """Return one entry, archived or not.

        Raises Unauthenticated, ReaderRoleRequired, EntryNotFound, ArchiveUnavailable,
        ArchiveDamaged.
        """
        _require_reader(caller)
        tell = partial(self._tell, caller=caller, view="entry", filters=Filters())
        async with self._database.transaction() as tx:
            await self._recording.prepare(tx)
            entry = await entries.find_entry(tx, event_id)
            if entry is not None:
                await tell(tx, rows=1, entry=str(event_id))
                return entry
        entry = await self._archives.find_entry(event_id)
        async with self._database.transaction() as tx:
            await tell(tx, rows=0 if entry is None else 1, entry=str(event_id))
        if entry is None:
            raise EntryNotFound
        return entry

    async def export(self, caller: Caller, filters: Filters) -> AsyncIterator[Sequence[Entry]]:
        """Return everything that matches, in pages.

        Raises Unauthenticated, ReaderRoleRequired, ArchiveUnavailable, ArchiveDamaged.
        """
        _require_reader(caller)
        return await self._export(caller, "export", filters)

    async def export_own(self, caller: Caller) -> AsyncIterator[Sequence[Entry]]:
        """Return the caller's own part of the log, archives included, in pages.

        Raises Unauthenticated, ArchiveUnavailable, ArchiveDamaged.
        """
        person = _require_principal(caller).user_id
        return await self._export(caller, "own_export", Filters(person_id=person))

    async def _export(
        self, caller: Caller, view: View, filters: Filters
    ) -> AsyncIterator[Sequence[Entry]]:
        async def tell(tx: Transaction, _page: Page) -> None:
            await self._tell(tx, caller, view, filters)

        # The first page is read before the answer begins, so that what fails is a proper problem.
        first = await self._page(filters, after=None, limit=_EXPORT_PAGE, tell=tell, begins=True)
        return self._pages(first, filters)

    async def _pages(self, page: Page, filters: Filters) -> AsyncIterator[Sequence[Entry]]:
        """Go back in time page by page, each in a transaction of its own: no snapshot is held."""
        yield page.entries
        while page.next_cursor is not None:
            page = await self._page(filters, after=page.next_cursor, limit=_EXPORT_PAGE)
            yield page.entries

    async def _page(
        self,
        filters: Filters,
        *,
        after: Cursor | None,
        limit: int,
        tell: _Tell | None = None,
        begins: bool = False,
    ) -> Page:
        """Read tables and archives behind *after*; *begins* when an export goes on from there."""
        async with self._database.transaction() as tx:
            await self._recording.prepare(tx)
            recent = await _recent(tx, filters, after=after, limit=limit)
            plan = await self._archives.plan(tx, filters, after=after)
            full = plan is not None and recent.reached is not None and plan.below(recent.reached)
            if plan is None or (full and not begins):
                page = Page(recent.entries, recent.reached)
                if tell is not None:
                    await tell(tx, page)
                return page
        if begins:
            await self._archives.check(plan)
        archived = Slice((), recent.reached)
        if not full:
            archived = await self._archives.read(plan, filters, after=after, limit=limit)
        merged = merge(recent, archived, limit=limit)
        page = Page(merged.entries, merged.reached)
        if tell is not None:
            async with self._database.transaction() as tx:
                await tell(tx, page)
        return page

    async def _tell(
        self, tx: Transaction, caller: Caller, view: View, filters: Filters, **facts: Any
    ) -> None:
        event = CloudEvent(
            id=uuid7(self._clock),
            source=SOURCE,
            type=LOG_READ,
            time=self._clock.now(),
            data={"view": view, **_asked(filters), **facts},
            subject=filters.target or filters.actor,
            actor=caller.actor,
            ip=caller.client_address,
            useragent=caller.user_agent,
            traceparent=caller.traceparent,
        )
        await self._recording.record(tx, [event])


async def _recent(tx: Transaction, filters: Filters, *, after: Cursor | None, limit: int) -> Slice:
    """Read the tables."""
    found = await entries.list_entries(tx, filters, after=after, limit=limit + 1)
    shown = found[:limit]
    return Slice(shown, place(shown[-1]) if len(found) > limit else None)


def _asked(filters: Filters) -> dict[str, Any]:
    """Return what was asked for. Of persons only the one the event is about is named by value."""
    values = {
        "type": filters.type,
        "outcome": filters.outcome,
        "from": format_time(filters.since) if filters.since else None,
        "to": format_time(filters.until) if filters.until else None,
        "ip": filters.ip,
    }
    asked = {name: value for name, value in values.items() if value is not None}
    persons = {"actor": filters.actor, "target": filters.target}
    return asked | {"filters": sorted([*asked, *(n for n, v in persons.items() if v is not None)])}


def _require_principal(caller: Caller) -> Principal:
    if caller.principal is None:
        raise Unauthenticated
    return caller.principal


def _require_reader(caller: Caller) -> None:
    if not may_read(_require_principal(caller).roles):
        raise ReaderRoleRequired
