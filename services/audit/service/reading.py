"""Read the log; each read becomes a row of it, in the same transaction (16.3: no silent reader)."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from chassis.caller import Caller, Principal
from chassis.clock import Clock
from chassis.database import Database, Transaction
from chassis.errors import Unauthenticated
from chassis.ids import uuid7
from contracts.envelope import CloudEvent, format_time
from services.audit.domain.classification import LOG_READ
from services.audit.domain.entries import Entry
from services.audit.domain.filters import Cursor, Filters, may_read
from services.audit.errors import EntryNotFound, ReaderRoleRequired
from services.audit.repository import entries
from services.audit.service.recording import Recording

SOURCE = "audit"

_EXPORT_PAGE = 500

View = Literal["list", "entry", "export", "own_export"]


@dataclass(frozen=True, slots=True)
class Page:
    """Entries, newest first; `next_cursor` is None on the last page."""

    entries: Sequence[Entry]
    next_cursor: Cursor | None


class Reading:
    """Shows the log to those who may see it."""

    def __init__(self, database: Database, recording: Recording, clock: Clock) -> None:
        self._database = database
        self._recording = recording
        self._clock = clock

    async def list_entries(
        self, caller: Caller, filters: Filters, *, after: Cursor | None, limit: int
    ) -> Page:
        """Return one page. Raises Unauthenticated, ReaderRoleRequired."""
        _require_reader(caller)
        async with self._database.transaction() as tx:
            await self._recording.prepare(tx)
            page = await _page(tx, filters, after=after, limit=limit)
            await self._tell(tx, caller, "list", filters, rows=len(page.entries))
        return page

    async def get_entry(self, caller: Caller, event_id: UUID) -> Entry:
        """Return one entry. Raises Unauthenticated, ReaderRoleRequired, EntryNotFound."""
        _require_reader(caller)
        async with self._database.transaction() as tx:
            await self._recording.prepare(tx)
            entry = await entries.find_entry(tx, event_id)
            found = 0 if entry is None else 1
            await self._tell(tx, caller, "entry", Filters(), rows=found, entry=str(event_id))
        if entry is None:
            raise EntryNotFound
        return entry

    async def export(self, caller: Caller, filters: Filters) -> AsyncIterator[Sequence[Entry]]:
        """Return everything that matches, in pages. Raises Unauthenticated, ReaderRoleRequired."""
        _require_reader(caller)
        return await self._export(caller, "export", filters)

    async def export_own(self, caller: Caller) -> AsyncIterator[Sequence[Entry]]:
        """Return the caller's own part of the log, in pages. Raises Unauthenticated."""
        person = _require_principal(caller).user_id
        return await self._export(caller, "own_export", Filters(person_id=person))

    async def _export(
        self, caller: Caller, view: View, filters: Filters
    ) -> AsyncIterator[Sequence[Entry]]:
        # The first page is read before the answer begins, so that what fails is a proper problem.
        async with self._database.transaction() as tx:
            await self._recording.prepare(tx)
            first = await _page(tx, filters, after=None, limit=_EXPORT_PAGE)
            await self._tell(tx, caller, view, filters)
        return self._pages(first, filters)

    async def _pages(self, page: Page, filters: Filters) -> AsyncIterator[Sequence[Entry]]:
        """Go back in time page by page, each in a transaction of its own: no snapshot is held."""
        yield page.entries
        while page.next_cursor is not None:
            async with self._database.transaction() as tx:
                page = await _page(tx, filters, after=page.next_cursor, limit=_EXPORT_PAGE)
            yield page.entries

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


async def _page(tx: Transaction, filters: Filters, *, after: Cursor | None, limit: int) -> Page:
    found = await entries.list_entries(tx, filters, after=after, limit=limit + 1)
    shown = found[:limit]
    last = shown[-1] if len(found) > limit else None
    return Page(shown, Cursor(last.received_at, last.event_id) if last else None)


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
