"""Who is deleted is gone from the archives too, and every proof stays (D17, U-11)."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import sqlalchemy as sa

from chassis.crypto import key_id, unseal
from services.audit.archive_store.folder import FolderStore
from services.audit.domain.archive.errors import DamagedError
from services.audit.domain.archive.rows import ArchivedRow, Sealing, read_line
from services.audit.domain.filters import Filters
from services.audit.domain.leaves import verifies
from services.audit.errors import ArchiveUnavailable
from services.audit.models import ARCHIVE_PARTITION_KEYS, ARCHIVE_PERSON_KEYS
from services.audit.repository.archive.keys import digest_of
from services.audit.tests.past import FEBRUARY, JANUARY, MARCH, Breaking, Past, lines, quiet
from services.audit.tests.samples import event, user_id
from services.audit.tests.world import ADMIN, caller

DAY = timedelta(days=1)
EMAIL = "ada.lovelace@example.com"
ADDRESS = "203.0.113.77"
ADMINS_ADDRESS = "198.51.100.200"


@pytest.fixture
async def ada(past: Past) -> str:
    """Give somebody of whom January tells: she registered, logged in, and was locked."""
    ada = user_id()
    own: dict[str, Any] = {"ip": ADDRESS, "actor": ada}
    registered = {"user_id": ada, "email": EMAIL, "username": "ada.lovelace"}
    await past.happened(
        event("identity.user.registered.v1", data=registered, **own),
        event("identity.login.succeeded.v1", data={"user_id": ada}, **own),
        event(
            "identity.user.locked.v1",
            data={"user_id": ada},
            actor=str(ADMIN),
            ip=ADMINS_ADDRESS,
        ),
        at=JANUARY + DAY,
    )
    return ada


class TestErasure:
    """Before, while and after a partition is archived."""

    async def test_nothing_personal_is_readable_in_the_store(
        self, past: Past, ada: str, folder: Path
    ) -> None:
        """Neither the persons nor where they were, erased or not."""
        await past.archive()

        written = lines(folder)
        for personal in (ada, EMAIL, "lovelace", ADDRESS, ADMINS_ADDRESS, str(ADMIN), "Firefox"):
            assert personal.encode() not in written
        assert digest_of(UUID(ada)).hex().encode() not in written
        assert b"identity.user.registered.v1" in written

    async def test_before(self, past: Past, ada: str, folder: Path) -> None:
        """What is gone from the tables never gets into an archive, nor has it a key."""
        await past.erase(ada)

        await past.archive()

        await self._is_gone(past, ada, folder)
        assert await self._shares(folder, "identity.user.registered.v1") == []

    @pytest.mark.parametrize("call", range(12))
    async def test_while(self, past: Past, ada: str, folder: Path, call: int) -> None:
        """At any moment: also between reading her rows and writing them."""
        calls = iter(range(100))

        async def meanwhile() -> None:
            if next(calls) == call:
                await past.erase(ada)

        store = Breaking(FolderStore(str(folder)), meanwhile=meanwhile)
        archiver = past.another(store=store)

        assert await archiver.archive_due(quiet) == 2

        await archiver.database.close()
        await self._is_gone(past, ada, folder)

    async def test_after(self, past: Past, ada: str, folder: Path) -> None:
        """The objects stay as they are; the key to them is gone."""
        await past.archive()
        before = lines(folder)
        assert len(await self._shares(folder, "identity.user.registered.v1")) == 1

        await past.erase(ada)

        assert lines(folder) == before
        await self._is_gone(past, ada, folder)

    async def test_leaves_others_as_they_are(self, past: Past, ada: str, folder: Path) -> None:
        """Who locked her account stays readable, from where it was done too."""
        await past.archive()
        await past.erase(ada)

        entries = await _entries(past)

        locked = next(entry for entry in entries if entry["type"] == "identity.user.locked.v1")
        assert (locked["actor"], locked["ip"]) == (str(ADMIN), ADMINS_ADDRESS)
        assert (locked["subject"], locked["erased"]) == (None, True)
        assert sum(not entry["erased"] for entry in entries) == 8
        assert lines(folder)

    async def test_never_gives_a_key_again(self, past: Past, ada: str) -> None:
        """Whatever comes late: the database itself refuses."""
        await past.erase(ada)

        async with past.owner() as owner:
            with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
                await owner.execute(
                    "INSERT INTO archive_person_keys VALUES ($1, 'id', 'sealed')",
                    digest_of(UUID(ada)),
                )

    async def _is_gone(self, past: Past, ada: str, folder: Path) -> None:
        """Show that with every key there is nothing of *ada* can be opened, and proofs hold."""
        written = lines(folder)
        for personal in (ada, EMAIL, "lovelace", ADDRESS):
            assert personal.encode() not in written
        opened = await _open_all(past, folder)
        assert all(EMAIL not in body and ada not in body for _, body in opened)
        found = await past.verify("20200101")
        assert (found.rows, found.closed_shares) == (10, 3)
        keys = await past.rows(sa.select(ARCHIVE_PERSON_KEYS.c.digest))
        assert digest_of(UUID(ada)) not in {bytes(row.digest) for row in keys}
        entries = await _entries(past)
        assert len(entries) == 11
        assert sum(entry["erased"] for entry in entries) == 3

    async def _shares(self, folder: Path, type_: str) -> list[Any]:
        rows = [json.loads(line) for line in lines(folder, "*.gz").splitlines()]
        return [share for row in rows if row["type"] == type_ for share in row["shares"]]


class TestWhoIsWhose:
    """Whoever gets the store alone cannot tell whose rows belong together."""

    async def test_rows_of_one_person_have_nothing_in_common(
        self, past: Past, ada: str, folder: Path
    ) -> None:
        """No id of a key, no repeated box: only who has the partition's key can relate them."""
        assert ada
        await past.archive()

        boxes = [
            share[name]
            for line in lines(folder, "*.gz").splitlines()
            for share in json.loads(line)["shares"]
            for name in ("who", "box")
        ]
        assert len(set(boxes)) == len(boxes)
        made_by = {box.partition(".")[0] for box in boxes}
        partition_keys = await _partition_keys(past)
        wrapped = {key_id(key) for key in partition_keys.values()}
        assert len(made_by - wrapped) == len(boxes) / 2


class TestTime:
    """ARCHIVE_PERSONAL_DAYS after its end a partition loses its key."""

    async def test_what_is_nobodys_goes_with_the_partition(self, past: Past, folder: Path) -> None:
        """A typed name, the address of a stranger: readable for a time, then for nobody."""
        stranger = event(
            "identity.login.failed.v1",
            data={"user_id": None, "name_hash": "of-a-typed-name"},
            subject=None,
            ip=ADDRESS,
        )
        await past.happened(stranger, at=JANUARY + DAY)
        await past.archive()
        assert ADDRESS.encode() not in lines(folder)
        entry = await past.reading.get_entry(caller("admin"), stranger.id)
        assert (entry.shown()["ip"], entry.shown()["erased"]) == (ADDRESS, False)

        days = (past.clock.now() - FEBRUARY).days
        expiring = past.another(personal=timedelta(days=days))
        await expiring.archive_due(quiet)
        await expiring.database.close()

        entry = await past.reading.get_entry(caller("admin"), stranger.id)
        assert (entry.shown()["ip"], entry.shown()["erased"]) == (None, True)
        assert (await past.verify("20200101")).open_shares == 0
        assert (await past.verify("20200201")).open_shares == 1
        assert list(await _partition_keys(past)) == ["20200201"]

    async def test_a_partition_in_the_database_keeps_its_key(self, past: Past) -> None:
        """However short the time: it is not archived yet."""
        soon = past.another(personal=timedelta(days=1))

        assert await soon.archive_due(quiet) == 2

        await soon.database.close()
        assert await _partition_keys(past) == {}
        assert (await past.verify("20200101")).rows == 7


class TestRotation:
    """ARCHIVE_KEY_ENCRYPTION_KEYS and ARCHIVE_SIGNING_KEYS are lists."""

    async def test_keys_come_under_the_newest(self, past: Past) -> None:
        """The next pass seals anew; then the old one can be taken away."""
        await past.archive()
        old, new = past.keys[0], b"n" * 32
        both = past.another(keys=[new, old])

        assert await both.archive_due(quiet) == 0

        await both.database.close()
        for table in (ARCHIVE_PERSON_KEYS, ARCHIVE_PARTITION_KEYS):
            for row in await past.rows(sa.select(table)):
                assert row.sealed.startswith(f"{key_id(new)}.")
        with pytest.raises(ArchiveUnavailable):
            await past.verify("20200101")

    async def test_older_manifests_stay_signed(self, past: Past) -> None:
        """By the key of their time, which the list still has."""
        assert (await past.archive(), past.keys) == (2, past.keys)
        await past.month(MARCH, MARCH + DAY)
        later = past.another(keys=[b"n" * 32, past.keys[0]])
        past.clock.advance(DAY)  # type: ignore[attr-defined]  # these tests have a fixed one

        assert await later.archive_due(quiet) == 1

        await later.database.close()
        signed = [json.loads(bytes(one.manifest))["signatures"] for one in await past.manifests()]
        assert signed[0][0]["keyid"] == signed[1][0]["keyid"] != signed[2][0]["keyid"]


async def _entries(past: Past) -> list[dict[str, Any]]:
    page = await past.reading.list_entries(
        caller("admin"), Filters(since=JANUARY, until=MARCH), after=None, limit=100
    )
    return [entry.shown() for entry in page.entries]


async def _partition_keys(past: Past) -> dict[str, bytes]:
    rows = await past.rows(sa.select(ARCHIVE_PARTITION_KEYS))
    return {
        row.partition_name: unseal(
            past.keys, row.sealed, context=f"archive key of partition {row.partition_name}"
        )
        for row in rows
    }


async def _open_all(past: Past, folder: Path) -> list[tuple[ArchivedRow, str]]:
    """Try every key there is on every share there is; return the bodies that came out."""
    persons = [
        unseal(past.keys, row.sealed, context=f"archive key of a person {bytes(row.key_id).hex()}")
        for row in await past.rows(sa.select(ARCHIVE_PERSON_KEYS))
    ]
    opened = []
    for name, key in (await _partition_keys(past)).items():
        sealing = Sealing(partition=name, key=key)
        for line in lines(folder, "*.gz").splitlines():
            row = read_line(line)
            for share in row.shares if f"{row.columns.received_at:%Y%m01}" == name else ():
                owner = sealing.owner_of(row.columns, share)
                for person in persons:
                    body = _body(sealing, row, {owner or b"": person})
                    opened += [(row, body)] if body else []
    return opened


def _body(sealing: Sealing, row: ArchivedRow, keys: dict[bytes, bytes]) -> str:
    bodies = []
    for share in row.shares:
        try:
            plain = sealing.open(row.columns, share, keys)
        except DamagedError:
            continue  # another person's key
        if plain is not None:
            committed = json.loads(row.columns.leaf_bytes)["pii_commit"][plain.party]
            assert verifies(committed, salt=plain.salt, body=plain.body)
            bodies.append(plain.body.decode())
    return "".join(bodies)
