"""The stores: one suite for a folder and for a bucket."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from chassis.processes import free_port
from chassis.testing.fixtures import MakeDatabase
from services.audit.archive_store import ArchiveStore, S3Settings, open_store
from services.audit.errors import ArchiveUnavailable
from services.audit.tests.buckets import Buckets, running
from services.audit.tests.past import FEBRUARY, JANUARY, Past, files
from services.audit.tests.samples import event
from services.audit.tests.world import MIGRATIONS, caller


@pytest.fixture(scope="module")
def buckets() -> Iterator[Buckets]:
    """Give a stand-in for S3."""
    with running() as buckets:
        yield buckets


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, folder: Path) -> ArchiveStore:
    """Give an empty store of each kind."""
    if request.param == "folder":
        return open_store(folder.as_uri(), S3Settings())
    buckets: Buckets = request.getfixturevalue("buckets")
    return buckets.store(buckets.create())


class TestEveryStore:
    """What the archiver relies on."""

    async def test_returns_what_was_put(self, store: ArchiveStore) -> None:
        """Byte for byte, also nothing and also much."""
        for name, data in (("a/1.gz", b""), ("a/2.gz", bytes(range(256)) * 30_000)):
            await store.put(name, data)

            assert await store.get(name) == data
            assert await store.has(name)

    async def test_putting_again_replaces(self, store: ArchiveStore) -> None:
        """A step that is done twice leaves what one leaves."""
        await store.put("a/1.gz", b"first")
        await store.put("a/1.gz", b"second")

        assert await store.get("a/1.gz") == b"second"

    async def test_knows_what_is_not_there(self, store: ArchiveStore) -> None:
        """That is an answer, no failure."""
        assert await store.get("a/1.gz") is None
        assert not await store.has("a/1.gz")

    async def test_lists_and_removes(self, store: ArchiveStore) -> None:
        """One partition, and no other; what is gone already does not matter."""
        for name in ("a/1.gz", "a/2.gz", "a/3.gz", "ab/1.gz", "b/1.gz"):
            await store.put(name, b"x")

        assert sorted(await store.names("a")) == ["a/1.gz", "a/2.gz", "a/3.gz"]
        assert await store.names("none") == []
        await store.remove(["a/1.gz", "a/3.gz"])
        await store.remove(["a/1.gz", "never/made"])
        await store.remove([])

        assert await store.names("a") == ["a/2.gz"]
        assert await store.has("ab/1.gz")

    async def test_keeps_an_archive(self, make_database: MakeDatabase, store: ArchiveStore) -> None:
        """Written, read back, dropped, and read by an administrator."""
        past = Past(await make_database("audit", MIGRATIONS), store)
        name = await past.month(JANUARY, FEBRUARY)
        happened = [event("identity.login.succeeded.v1") for _ in range(7)]
        await past.happened(*happened, at=JANUARY)

        assert await past.archive() == 1

        assert (await past.verify(name)).open_shares == 7
        entry = await past.reading.get_entry(caller("admin"), happened[3].id)
        (manifest,) = await past.manifests()
        await past.close()
        assert entry.shown()["ip"] == "203.0.113.7"
        assert manifest.location.startswith(store.url)


class TestFolders:
    """A folder on a disk."""

    async def test_are_for_their_owner_alone(self, folder: Path) -> None:
        """No other user of the machine reads them."""
        store = open_store(folder.as_uri(), S3Settings())
        await store.put("a/1.gz", b"x")

        modes = [
            stat.S_IMODE(path.stat().st_mode) for path in (folder / "a", *files(folder, "*/*"))
        ]
        assert modes == [0o700, 0o600]

    async def test_show_half_written_files(self, folder: Path) -> None:
        """What a killed process left can be found and removed."""
        store = open_store(folder.as_uri(), S3Settings())
        await store.put("a/1.gz", b"x")
        (folder / "a" / ".2.gz.draft").write_bytes(b"half")

        assert await store.names("a") == ["a/.2.gz.draft", "a/1.gz"]
        await store.remove(["a/.2.gz.draft"])
        assert [path.name for path in files(folder, "a/*")] == ["1.gz"]

    @pytest.fixture
    def blocked(self, folder: Path) -> ArchiveStore:
        """Give a store whose folder cannot be made."""
        folder.write_text("a file stands in the way")
        return open_store(folder.as_uri(), S3Settings())

    async def test_that_cannot_be_written_are_unavailable(self, blocked: ArchiveStore) -> None:
        """A full disk and a missing mount have one name."""
        store = blocked
        with pytest.raises(ArchiveUnavailable):
            await store.put("a/1.gz", b"x")
        with pytest.raises(ArchiveUnavailable):
            await store.get("a/1.gz")

    async def test_are_durable(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The file before its name, and the name before the answer."""
        synced: list[str] = []
        sync = os.fsync

        def note(descriptor: int) -> None:
            synced.append(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))  # noqa: PTH115, PTH119 - a link of the kernel's
            sync(descriptor)

        monkeypatch.setattr(os, "fsync", note)
        await open_store(folder.as_uri(), S3Settings()).put("a/1.gz", b"x")

        assert synced[0].startswith(".1.gz.")
        assert synced[1:] == ["a", "archive", folder.parent.name]


class TestBuckets:
    """A bucket behind a network."""

    async def test_that_are_away_are_unavailable(self) -> None:
        """After a bounded time, in the store's own words to nobody."""
        settings = S3Settings(
            endpoint=f"http://127.0.0.1:{free_port()}",
            access_key_id="test",
            secret_access_key="test-secret",
            timeout_seconds=5,
        )
        store = open_store("s3://bucket/prefix", settings)

        for call in (store.put("a", b"x"), store.get("a"), store.has("a")):
            with pytest.raises(ArchiveUnavailable) as refused:
                await call
            assert "127.0.0.1" not in str(refused.value)
        with pytest.raises(ArchiveUnavailable):
            await store.names("a")
        with pytest.raises(ArchiveUnavailable):
            await store.remove(["a"])

    async def test_that_do_not_exist_take_nothing(self, buckets: Buckets) -> None:
        """A misspelt name is noticed at the first object."""
        with pytest.raises(ArchiveUnavailable):
            await buckets.store("never-made").put("a/1.gz", b"x")

    def test_hide_their_secret(self) -> None:
        """Not even in a traceback."""
        assert "hidden" not in repr(S3Settings(secret_access_key="hidden"))
