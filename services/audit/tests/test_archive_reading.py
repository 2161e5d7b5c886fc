"""Tables and archives are read as one log, whatever has been archived meanwhile."""

import asyncio
import dataclasses
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.audit.archive_store.folder import FolderStore
from services.audit.domain.filters import Cursor, Filters
from services.audit.errors import ArchiveDamaged, ArchiveUnavailable, EntryNotFound
from services.audit.service.archive import reading as archive_reading
from services.audit.service.archive.reading import ArchiveReading
from services.audit.service.reading import Reading
from services.audit.tests.past import APRIL, FEBRUARY, JANUARY, MARCH, Breaking, Past, files, quiet
from services.audit.tests.samples import event, user_id
from services.audit.tests.world import ADMIN, caller

DAY = timedelta(days=1)
ADA, BOB = user_id(), user_id()
ADDRESS = "2001:db8::7"
EVERYTHING = Filters(since=JANUARY, until=APRIL)

QUESTIONS: dict[str, dict[str, Any]] = {
    "everything": {},
    "a type": {"type": "identity.user.locked.v1"},
    "an unknown type": {"type": "identity.user.imagined.v1"},
    "an outcome": {"outcome": "failure"},
    "an actor": {"actor": ADA},
    "an actor who is no user": {"actor": "system"},
    "an unknown actor": {"actor": str(uuid4())},
    "a target": {"target": BOB},
    "a target that is no person": {"target": "mail-1"},
    "an address": {"ip": "2001:db8::7/128"},
    "a network": {"ip": "203.0.113.0/24"},
    "some days": {"since": JANUARY + DAY, "until": JANUARY + 3 * DAY},
    "the end": {"since": FEBRUARY, "until": MARCH},
    "all of it at once": {"actor": str(ADMIN), "target": BOB, "type": "identity.user.locked.v1"},
}


@pytest.fixture
async def eventful(past: Past) -> Past:
    """Give a past with many kinds of events, on both sides of the border."""
    for at in (JANUARY + DAY, JANUARY + 2 * DAY, FEBRUARY + DAY):
        await past.happened(
            event("identity.login.succeeded.v1", data={"user_id": ADA}, actor=ADA, ip=ADDRESS),
            event("identity.user.locked.v1", data={"user_id": BOB}, actor=str(ADMIN)),
            event("identity.user.locked.v1", data={"user_id": ADA}, actor="system", ip=None),
            event("identity.login.failed.v1", data={"user_id": None}, subject=None, ip="10.1.2.3"),
            event(
                "notify.message.failed.v1",
                data={"message_id": str(uuid4()), "user_id": BOB},
                subject="mail-1",
            ),
            event("token.signing_key.rotated.v1", subject=None, ip=None),
            at=at,
        )
    return past


class TestOneLog:
    """An administrator asks for archived time."""

    @pytest.mark.parametrize("question", QUESTIONS)
    async def test_answers_stay_what_they_were(self, eventful: Past, question: str) -> None:
        """Before, with January in the archive, and with all of it there."""
        asked = dataclasses.replace(EVERYTHING, **QUESTIONS[question])
        before = await _all(eventful, asked)

        await _archive_until(eventful, "20200101")
        between = await _all(eventful, asked)
        await eventful.archive()
        after = await _all(eventful, asked)

        assert await eventful.dropped() == ["20200101", "20200201"]
        assert before == between == after
        assert bool(before) == ("unknown" not in question)

    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
    async def test_pages_join_at_the_border(self, eventful: Past, limit: int) -> None:
        """No row is missing and none is there twice, however long a page is."""
        before = await _all(eventful, EVERYTHING)
        await _archive_until(eventful, "20200101")

        assert await _all(eventful, EVERYTHING, limit=limit) == before

    @pytest.mark.parametrize("page", range(6))
    async def test_a_partition_leaves_between_two_pages(self, eventful: Past, page: int) -> None:
        """A cursor of before goes on after."""
        before = await _all(eventful, EVERYTHING)
        shown: list[dict[str, Any]] = []
        cursor: Cursor | None = None
        for number in range(100):
            if number == page:
                await eventful.archive()
            found = await eventful.reading.list_entries(
                caller("admin"), EVERYTHING, after=cursor, limit=5
            )
            shown += [entry.shown() for entry in found.entries]
            cursor = found.next_cursor
            if cursor is None:
                break

        assert shown == before

    async def test_readers_while_it_is_archived(self, eventful: Past, folder: Path) -> None:
        """At every moment of archiving, each reader sees each row once."""
        before = await _all(eventful, EVERYTHING)
        seen = []

        async def read() -> None:
            seen.append(await _all(eventful, EVERYTHING, limit=4))

        archiver = eventful.another(store=Breaking(FolderStore(str(folder)), meanwhile=read))
        dropping = asyncio.create_task(archiver.archive_due(quiet))
        while not dropping.done():
            await read()
        await dropping

        await archiver.database.close()
        assert len(seen) > 10
        assert all(one == before for one in seen)

    async def test_rows_of_no_partition_keep_their_place(self, eventful: Past) -> None:
        """What lies in DEFAULT may be older than what is archived."""
        await eventful.happened(event("identity.user.enabled.v1"), at=JANUARY - DAY)
        asked = dataclasses.replace(EVERYTHING, since=JANUARY - 2 * DAY)
        before = await _all(eventful, asked)

        await eventful.archive()

        assert await _all(eventful, asked, limit=2) == before
        assert before[-1]["type"] == "identity.user.enabled.v1"

    async def test_without_a_beginning_archives_rest(self, eventful: Past) -> None:
        """Who gives no time from which to read asks for what is in the tables."""
        await eventful.archive()

        assert await _all(eventful, Filters(until=APRIL)) == []
        assert eventful.sample("gatehouse_audit_archive_objects_read_total") == 0

    async def test_exports_reach_back(self, eventful: Past) -> None:
        """Both forms of it are made of these pages."""
        before = await _all(eventful, EVERYTHING)
        await eventful.archive()

        pages = await eventful.reading.export(caller("moderator"), EVERYTHING)

        assert [entry.shown() async for page in pages for entry in page] == before

    async def test_a_person_gets_what_is_archived_of_them(self, eventful: Past) -> None:
        """The own export reads all of the own rows, and the own share of each."""
        me = caller("user", user_id=UUID(ADA))
        before = await _own(eventful, me)
        await eventful.archive()

        after = await _own(eventful, me)

        assert len(before) == 6
        # In between, the first export has become a row of its own.
        assert [entry for entry in after if entry["type"] != "audit.log.read.v1"] == before
        assert all(entry["data"].get("user_id") in (ADA, None) for entry in after)

    async def test_a_person_of_whom_nothing_is_archived_costs_nothing(self, eventful: Past) -> None:
        """Their objects are found by what is in them, not by opening all."""
        await eventful.archive()

        assert await _own(eventful, caller("user", user_id=uuid4())) == []
        assert eventful.sample("gatehouse_audit_archive_objects_read_total") == 0


class TestOneEntry:
    """An administrator asks for one event by its id."""

    async def test_is_found_in_the_archive(self, eventful: Past) -> None:
        """As it was in the tables, at the cost of the object it is in."""
        rows = await eventful.log()
        before = [await _entry(eventful, row.event_id) for row in rows]
        await eventful.archive()

        after = [await _entry(eventful, row.event_id) for row in rows]

        assert after == before
        read = eventful.sample("gatehouse_audit_archive_objects_read_total")
        assert read == len(rows)

    async def test_that_is_nowhere(self, eventful: Past) -> None:
        """404, and no object was opened for it."""
        await eventful.archive()

        with pytest.raises(EntryNotFound):
            await _entry(eventful, uuid4())
        assert eventful.sample("gatehouse_audit_archive_objects_read_total") == 0


class TestBounds:
    """What one request may cost, and what it says when it cannot be answered."""

    async def test_a_page_looks_through_some_objects(self, eventful: Past) -> None:
        """A search for the rare gives short pages that go on, and finds it in the end."""
        asked = dataclasses.replace(EVERYTHING, ip="10.1.2.3/32", since=JANUARY)
        before = await _all(eventful, asked)
        await eventful.archive()
        archives = ArchiveReading(
            database=eventful.database,
            target=eventful.target,
            metrics=eventful.archive_numbers,
            objects_per_page=1,
        )
        narrow = Reading(eventful.database, eventful.recording, eventful.clock, archives=archives)
        found: list[dict[str, Any]] = []
        sizes: list[int] = []
        cursor: Cursor | None = None
        while not sizes or cursor is not None:
            page = await narrow.list_entries(caller("admin"), asked, after=cursor, limit=50)
            found += [entry.shown() for entry in page.entries]
            sizes.append(len(page.entries))
            cursor = page.next_cursor

        assert found == before
        assert max(sizes) == 1
        assert len(sizes) == len(await eventful.objects())

    async def test_a_store_that_is_away(self, eventful: Past, folder: Path) -> None:
        """Everything that needs it says so before the answer begins; the rest works."""
        await eventful.archive()
        gone = Breaking(FolderStore(str(folder)), ArchiveUnavailable())
        reading = _reading(eventful, eventful.another(store=gone).target)
        admin = caller("admin")

        with pytest.raises(ArchiveUnavailable):
            await reading.list_entries(admin, EVERYTHING, after=None, limit=5)
        with pytest.raises(ArchiveUnavailable):
            await reading.export(admin, EVERYTHING)
        with pytest.raises(ArchiveUnavailable):
            await reading.export_own(caller("user", user_id=UUID(ADA)))
        assert await reading.list_entries(admin, Filters(), after=None, limit=5)
        name = "gatehouse_audit_archive_failures_total"
        assert eventful.sample(name, reason="store_unavailable") == 3

    async def test_a_store_that_never_answers(
        self, eventful: Past, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nobody waits for it longer than the gateway does."""
        await eventful.archive()
        monkeypatch.setattr(archive_reading, "SECONDS_PER_PAGE", 0.05)

        async def hang() -> None:
            await asyncio.Event().wait()

        hanging = Breaking(FolderStore(str(folder)), meanwhile=hang)
        reading = _reading(eventful, eventful.another(store=hanging).target)

        with pytest.raises(ArchiveUnavailable):
            await reading.list_entries(caller("admin"), EVERYTHING, after=None, limit=5)

    async def test_an_export_whose_tables_fill_pages(self, eventful: Past, folder: Path) -> None:
        """It asks the store first, though it needs it much later only."""
        await _archive_until(eventful, "20200101")
        gone = Breaking(FolderStore(str(folder)), ArchiveUnavailable())
        reading = _reading(eventful, eventful.another(store=gone).target)
        await eventful.happened(
            *(event("identity.user.enabled.v1") for _ in range(600)), at=FEBRUARY + 2 * DAY
        )

        with pytest.raises(ArchiveUnavailable):
            await reading.export(caller("admin"), EVERYTHING)

    async def test_no_store_at_all(self, eventful: Past) -> None:
        """ARCHIVE_URL was taken away again."""
        (row, *_) = await eventful.log()
        await eventful.archive()
        reading = _reading(eventful, None)

        with pytest.raises(ArchiveUnavailable):
            await reading.list_entries(caller("admin"), EVERYTHING, after=None, limit=5)
        with pytest.raises(ArchiveUnavailable):
            await reading.get_entry(caller("admin"), row.event_id)

    @pytest.mark.parametrize("how", ["changed", "removed"])
    async def test_a_damaged_object(self, eventful: Past, folder: Path, how: str) -> None:
        """Is never shown, and counted."""
        (row, *_) = await eventful.log()
        await eventful.archive()
        damaged = files(folder, "20200101/000000-*")[0]
        if how == "changed":
            damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
        else:
            damaged.unlink()

        with pytest.raises(ArchiveDamaged):
            await _all(eventful, EVERYTHING)
        with pytest.raises(ArchiveDamaged):
            await _entry(eventful, row.event_id)
        name = "gatehouse_audit_archive_failures_total"
        assert eventful.sample(name, reason="damaged") == 2

    async def test_reads_are_recorded(self, eventful: Past) -> None:
        """Each page and each entry, with how many rows it showed."""
        (row, *_) = await eventful.log()
        await eventful.archive()

        await eventful.reading.list_entries(caller("admin"), EVERYTHING, after=None, limit=5)
        await _entry(eventful, row.event_id)

        now = datetime(2026, 1, 1, tzinfo=JANUARY.tzinfo)
        reads = await _all(eventful, Filters(since=now, type="audit.log.read.v1"))
        assert [(read["data"]["view"], read["data"]["rows"]) for read in reads] == [
            ("entry", 1),
            ("list", 5),
        ]


def _reading(past: Past, target: Any) -> Reading:
    archives = ArchiveReading(database=past.database, target=target, metrics=past.archive_numbers)
    return Reading(past.database, past.recording, past.clock, archives=archives)


async def _archive_until(past: Past, name: str) -> None:
    """Archive up to one partition and stop there."""

    class Enough(BaseException):
        pass

    def stop(step: str, partition: str, _: object) -> None:
        if (step, partition) == ("dropped", name):
            raise Enough

    with pytest.raises(Enough):
        await past.archive(stop)


async def _all(past: Past, filters: Filters, *, limit: int = 100) -> list[dict[str, Any]]:
    """Return all pages of a question, as they are shown."""
    found: list[dict[str, Any]] = []
    cursor: Cursor | None = None
    while True:
        page = await past.reading.list_entries(caller("admin"), filters, after=cursor, limit=limit)
        assert len(page.entries) <= limit
        found += [entry.shown() for entry in page.entries]
        cursor = page.next_cursor
        if cursor is None:
            return found


async def _entry(past: Past, event_id: UUID) -> dict[str, Any]:
    return (await past.reading.get_entry(caller("admin"), event_id)).shown()


async def _own(past: Past, me: Any) -> list[dict[str, Any]]:
    pages = await past.reading.export_own(me)
    return [entry.shown() async for page in pages for entry in page]
