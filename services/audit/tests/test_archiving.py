"""Partitions leave the database when all of them is past the retention, archived and read back."""

import asyncio
import gzip
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from chassis.testing.clock import FixedClock
from chassis.testing.fixtures import MakeDatabase
from chassis.testing.servers import PostgresServer
from services.audit.archive_store.folder import FolderStore
from services.audit.domain.archive.errors import DamagedError, PostponedError
from services.audit.errors import ArchiveUnavailable
from services.audit.repository import partitions
from services.audit.service.archive import writing
from services.audit.tests.past import (
    APRIL,
    FEBRUARY,
    JANUARY,
    MARCH,
    RETENTION,
    Breaking,
    Killed,
    Past,
    files,
    lines,
    quiet,
)
from services.audit.tests.samples import event, user_id
from services.audit.tests.world import MIGRATIONS

JUST = timedelta(microseconds=1)
LOGIN = "identity.login.succeeded.v1"


@pytest.fixture
def postgres_server(each_postgres: PostgresServer) -> PostgresServer:
    """Run these tests on every PostgreSQL there is."""
    return each_postgres


class TestRetention:
    """AUDIT_RETENTION_DAYS counts from the last moment of a partition."""

    @pytest.mark.parametrize(
        ("now", "gone"),
        [
            (FEBRUARY + RETENTION - JUST, []),
            (FEBRUARY + RETENTION, ["20200101"]),
            (MARCH + RETENTION - JUST, ["20200101"]),
            (MARCH + RETENTION, ["20200101", "20200201"]),
        ],
    )
    async def test_a_partition_goes_when_all_of_it_is_older(
        self, past: Past, now: Any, gone: list[str]
    ) -> None:
        """Not a microsecond earlier: its youngest row may be that young."""
        assert isinstance(past.clock, FixedClock)
        past.clock.advance(now - past.clock.now())

        assert await past.archive() == len(gone)

        assert await past.dropped() == gone
        assert len(await past.log()) == {0: 8, 1: 1, 2: 0}[len(gone)]

    async def test_what_waits_is_measured(self, past: Past) -> None:
        """Partitions past their retention, and when the last one was archived."""
        assert await past.archiver.measure() == 2
        assert past.sample("gatehouse_audit_archive_partitions_pending") == 2
        assert past.sample("gatehouse_audit_archive_last_success_timestamp_seconds") == 0

        await past.archive()
        await past.archiver.measure()

        assert past.sample("gatehouse_audit_archive_partitions_pending") == 0
        assert past.sample("gatehouse_audit_archive_last_success_timestamp_seconds") > 1.7e9
        assert past.sample("gatehouse_audit_archive_rows_total") == 8
        assert past.sample("gatehouse_audit_archive_bytes_total") > 1000

    async def test_rows_of_no_partition_stay(self, past: Past) -> None:
        """DEFAULT is never archived or dropped: its rows are counted until somebody looks."""
        await past.happened(event(LOGIN), at=APRIL)

        await past.archive()
        await past.archiver.measure()

        assert len(await past.log()) == 1
        assert past.sample("gatehouse_audit_default_partition_rows") == 0
        await past.partitions.ensure()
        assert past.sample("gatehouse_audit_default_partition_rows") == 1


class TestDefault:
    """Rows that found no partition."""

    async def test_are_adopted_as_the_handbook_says(self, make_database: MakeDatabase) -> None:
        """After that they are a partition as any other, and DEFAULT is empty."""
        past = Past(await make_database("audit", MIGRATIONS), FolderStore("/nowhere"))
        await past.happened(event(LOGIN), event(LOGIN), at=JANUARY)
        async with past.owner() as owner:
            await owner.execute(_handbook())

        assert await past.archiver.measure() == 1
        async with past.database.transaction() as tx:
            assert await partitions.count_default(tx) == 0
        assert len(await past.log()) == 2
        await past.close()


class TestTheArchive:
    """What is written."""

    async def test_holds_every_row_in_order(self, past: Past, folder: Path) -> None:
        """Compressed JSON Lines, some rows an object, each leaf byte for byte."""
        leaves = [row.leaf_bytes.decode() for row in await past.log()]

        await past.archive()

        written = [json.loads(line) for line in lines(folder, "*.gz").splitlines()]
        assert len(files(folder, "20200101/*.gz")) == 3
        assert [line["leaf"] for line in written] == leaves
        assert [json.loads(line["leaf"])["event_id"] for line in written] == [
            line["event_id"] for line in written
        ]

    async def test_is_cut_smaller_where_events_are_large(
        self, past: Past, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Memory is bounded by size as well as by number; one row always fits."""
        monkeypatch.setattr(writing, "BYTES_PER_OBJECT", 1000)
        large = event(LOGIN, useragent="x" * 5000)
        await past.happened(large, at=JANUARY + timedelta(days=1))

        await past.archive()

        assert [row.row_count for row in await past.objects()] == [1] * 9
        assert (await past.verify("20200101")).rows == 8

    async def test_is_described_by_signed_manifests_in_a_chain(self, past: Past) -> None:
        """Each names its objects by their hashes, and the manifest before it."""
        await past.archive()

        first, second = await past.manifests()
        opened = [
            json.loads(past.target.signer.open(bytes(one.manifest))) for one in (first, second)
        ]
        assert [one["rows"] for one in opened] == [7, 1]
        assert [len(one["objects"]) for one in opened] == [3, 1]
        assert [one["previous"] for one in opened] == [None, bytes(first.sha256).hex()]
        assert opened[0]["objects"][0]["first"][0] == "2020-01-01T00:00:00.000000Z"
        assert opened[0]["objects"][0]["types"] == [LOGIN]
        assert opened[0]["leaves"] == {
            "order": "received_at, event_id",
            "first_index": None,
            "last_index": None,
        }

    async def test_is_whole(self, past: Past) -> None:
        """Reading it back later finds every share that the tables had."""
        shares = len(await past.personal())
        await past.archive()

        found = [await past.verify(name) for name in ("20200101", "20200201")]

        assert [one.rows for one in found] == [7, 1]
        assert sum(one.open_shares for one in found) == shares
        assert sum(one.closed_shares for one in found) == 0

    async def test_is_told_once(self, past: Past) -> None:
        """One event per partition, with its rows."""
        await past.archive()
        await past.archive()

        assert await past.told() == [
            {"partition": "20200101", "rows": 7},
            {"partition": "20200201", "rows": 1},
        ]

    async def test_of_an_empty_month_is_a_manifest(self, past: Past) -> None:
        """Nothing happened, and that is signed too."""
        await past.month(MARCH, APRIL)
        assert isinstance(past.clock, FixedClock)
        past.clock.advance(timedelta(days=31))

        await past.archive()

        assert (await past.dropped())[-1] == "20200301"
        assert (await past.verify("20200301")).rows == 0

    async def test_waits_while_rows_get_their_place_in_the_tree(self, past: Past) -> None:
        """Half of a partition sequenced is no state to keep for ever."""
        async with past.owner() as owner:
            await owner.execute(
                "UPDATE audit_log SET leaf_index = 0 WHERE received_at = $1", JANUARY
            )

        with pytest.raises(PostponedError, match="not_sequenced"):
            await past.archive()
        assert await past.dropped() == []
        async with past.owner() as owner:
            await owner.execute(
                "UPDATE audit_log SET leaf_index = extract(epoch FROM received_at - $1)"
                " WHERE leaf_index IS NULL AND received_at < $2",
                JANUARY,
                FEBRUARY,
            )
        await past.archive()

        manifest = json.loads(past.target.signer.open((await past.partition("20200101")).manifest))
        assert (manifest["leaves"]["first_index"], manifest["leaves"]["last_index"]) == (0, 6)
        assert manifest["sequenced"] == 7


class TestRefusals:
    """What is not certain to be whole in the store does not leave the database."""

    @pytest.mark.parametrize("tampering", ["changed", "removed", "cut", "swapped", "manifest"])
    async def test_a_tampered_archive_drops_nothing(
        self, past: Past, folder: Path, tampering: str
    ) -> None:
        """Whatever was done to it between writing and reading back."""

        def tamper(step: str, partition: str, _: object) -> None:
            if (step, partition) != ("manifest_registered", "20200101"):
                return
            one, another, _ = files(folder, "20200101/*.gz")
            if tampering == "removed":
                one.unlink()
            elif tampering == "swapped":
                one.write_bytes(another.read_bytes())
            elif tampering == "cut":
                one.write_bytes(one.read_bytes()[:-9])
            elif tampering == "changed":
                line = gzip.decompress(one.read_bytes()).replace(b"succeeded", b"forgotten")
                one.write_bytes(gzip.compress(line, mtime=0))
            else:
                (manifest,) = folder.glob("20200101/manifest-*")
                manifest.write_bytes(manifest.read_bytes().replace(b"keyid", b"keyie"))

        with pytest.raises(DamagedError):
            await past.archive(tamper)

        assert await past.dropped() == []
        assert len(await past.log()) == 8
        assert await past.told() == []
        with pytest.raises(DamagedError):
            await past.archive()
        assert await past.archiver.discard("20200101")
        assert await past.archive() == 2

    async def test_a_manifest_of_a_stranger_is_refused(self, past: Past) -> None:
        """Somebody with the database and the store, but without our key."""
        stranger = past.another(keys=[b"s" * 32])

        def leave(step: str, _partition: str, _: object) -> None:
            if step == "manifest_registered":
                raise Killed

        with pytest.raises(Killed):
            await stranger.archive_due(leave)
        await stranger.database.close()

        with pytest.raises((DamagedError, ArchiveUnavailable)):
            await past.archive()
        assert await past.dropped() == []

    async def test_somebody_elses_archive_in_the_same_place_stays(
        self, past: Past, make_database: MakeDatabase, folder: Path
    ) -> None:
        """Two installations were given one prefix: neither destroys what the other has dropped."""
        other = Past(await make_database("audit", MIGRATIONS), FolderStore(str(folder)))
        await other.month(JANUARY, FEBRUARY)
        await other.happened(event(LOGIN), at=JANUARY)
        assert await other.archive() == 1

        with pytest.raises(DamagedError, match="another installation"):
            await past.archive()

        assert await past.dropped() == []
        assert (await other.verify("20200101")).rows == 1
        await other.close()

    async def test_a_verified_archive_cannot_be_discarded(self, past: Past) -> None:
        """Nor replaced, nor can a partition that nobody knows."""
        await past.archive()

        assert not await past.archiver.discard("20200101")
        assert not await past.archiver.discard("nonsense")

    async def test_the_store_is_away(self, past: Past, folder: Path) -> None:
        """Nothing is dropped; when it is back the work goes on where it was."""
        store = Breaking(FolderStore(str(folder)), ArchiveUnavailable(), calls=2)
        archiver = past.another(store=store)
        for _ in range(3):
            with pytest.raises(ArchiveUnavailable):
                await archiver.archive_due(quiet)
        assert await past.dropped() == []
        assert len(await past.objects()) == 2

        store.error = None
        assert await archiver.archive_due(quiet) == 2

        await archiver.database.close()
        assert await past.dropped() == ["20200101", "20200201"]

    async def test_rows_that_came_after_the_archive_keep_the_partition(self, past: Past) -> None:
        """The database counts once more before it drops, and refuses."""
        late = event(LOGIN)

        async def insert() -> None:
            await past.happened(late, at=JANUARY + timedelta(days=3))

        tasks = []

        def sneak(step: str, partition: str, _: object) -> None:
            if (step, partition) == ("manifest_registered", "20200101"):
                tasks.append(asyncio.ensure_future(insert()))

        with pytest.raises(PostponedError, match="refused_by_database"):
            await past.archive(sneak)

        assert await past.dropped() == []
        assert late.id in {row.event_id for row in await past.log()}


class TestPersonalData:
    """A row whose person never was erased is verified with their data."""

    async def test_a_lost_key_is_noticed_before_the_drop(self, past: Past) -> None:
        """A share of a living person that the archive does not show keeps the partition."""
        await past.happened(event(LOGIN, data={"user_id": user_id()}), at=JANUARY + RETENTION / 9)

        def lose(step: str, partition: str, _: object) -> None:
            if (step, partition) == ("manifest_registered", "20200101"):
                raise Killed

        with pytest.raises(Killed):
            await past.archive(lose)
        async with past.owner() as owner:
            await owner.execute("DELETE FROM archive_person_keys")

        with pytest.raises(DamagedError, match="living persons"):
            await past.archive()
        assert await past.dropped() == []


def _handbook() -> str:
    """Return the SQL of docs/operations.md."""
    handbook = Path(__file__).resolve().parents[3] / "docs" / "operations.md"
    return handbook.read_text().partition("```sql\n")[2].partition("```")[0]
