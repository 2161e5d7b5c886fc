"""An archiver can die at any moment, and several can be at work."""

import asyncio
from pathlib import Path

import pytest

from chassis.provisioning import admin_connection
from services.audit.archive_store.folder import FolderStore
from services.audit.tests.past import Breaking, Killed, Past, files, quiet


class TestKilled:
    """An archiver that is killed between any two steps is taken over by the next."""

    STEPS = (
        *["object_written"] * 3,
        "manifest_written",
        "manifest_registered",
        *["object_verified"] * 3,
        "verified",
        "confirmed",
        "tidied",
        "dropped",
    )

    async def test_the_steps_are_these(self, past: Past) -> None:
        """In this order, for each partition."""
        steps: list[str] = []

        def note(step: str, partition: str, _: object) -> None:
            if partition == "20200101":
                steps.append(step)

        await past.archive(note)

        assert tuple(steps) == self.STEPS

    @pytest.mark.parametrize("after", range(len(STEPS)))
    async def test_after_a_step(self, past: Past, folder: Path, after: int) -> None:
        """Every row is archived once, told once, and nothing is left lying about."""
        await self._kill_after_steps(past, after)

        assert await past.archive() is not None

        await self._is_complete(past, folder)

    @pytest.mark.parametrize("calls", range(10))
    async def test_at_a_call_of_the_store(self, past: Past, folder: Path, calls: int) -> None:
        """Between what is in the store and what is on record."""
        dying = past.another(store=Breaking(FolderStore(str(folder)), Killed(), calls=calls))
        with pytest.raises(Killed):
            await dying.archive_due(quiet)
        await dying.database.close()

        assert await past.archive() is not None

        await self._is_complete(past, folder)

    async def test_leaves_no_drafts(self, past: Past, folder: Path) -> None:
        """A half-written file of a killed process is removed."""
        (folder / "20200101").mkdir(parents=True)
        (folder / "20200101" / ".000000-abc.jsonl.gz.123").write_bytes(b"half")
        (folder / "20200101" / "000000-0123456789abcdef.jsonl.gz").write_bytes(b"of another")

        await past.archive()

        await self._is_complete(past, folder)

    async def _kill_after_steps(self, past: Past, steps: int) -> None:
        left = iter(range(steps + 1))

        def die(_step: str, _partition: str, _: object) -> None:
            if next(left) == steps:
                raise Killed

        dying = past.another()
        with pytest.raises(Killed):
            await dying.archive_due(die)
        await dying.database.close()

    async def _is_complete(self, past: Past, folder: Path) -> None:
        assert await past.dropped() == ["20200101", "20200201"]
        assert [one["partition"] for one in await past.told()] == ["20200101", "20200201"]
        assert (await past.verify("20200101")).rows == 7
        assert len(files(folder, "*/*")) == len(await past.objects()) + 2


class TestTwoArchivers:
    """Replicas share the work without knowing of each other."""

    async def test_one_leads(self, past: Past) -> None:
        """The other leaves it alone."""
        other = past.another()

        done = await asyncio.gather(past.archive(), other.archive_due(quiet))

        await other.database.close()
        assert set(done) <= {None, 0, 2}
        assert await past.dropped() == ["20200101", "20200201"]
        assert len(await past.told()) == 2

    async def test_a_leader_that_lost_its_lead_spoils_nothing(
        self, past: Past, folder: Path
    ) -> None:
        """Its connection broke while it was writing, and another one took over and finished."""
        other = past.another()

        def overtaken(step: str, _partition: str, _: object) -> None:
            if step == "object_written" and not taken.done():
                taken.set_result(None)

        taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        slow = asyncio.create_task(past.archive(overtaken))
        await taken
        async with admin_connection(past.fresh.app_url) as connection:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
                " AND objid = 4 AND database ="
                " (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
        await asyncio.gather(slow, other.archive_due(quiet), return_exceptions=True)
        await past.archive()

        await other.database.close()
        assert await past.dropped() == ["20200101", "20200201"]
        assert (await past.verify("20200101")).rows == 7
        assert len(await past.told()) == 2
        assert len(files(folder, "*/*.gz")) == len(await past.objects())
