"""A month past its retention, seen through the gateway: archived, still readable, erasable."""

import asyncio
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from chassis.provisioning import Role, database_url
from chassis.testing import eventually
from chassis.testing.databases import FreshDatabase
from services.audit.archive_store.folder import FolderStore
from services.audit.tests.past import FEBRUARY, JANUARY, Past, lines
from services.audit.tests.samples import event
from tests.platforms.person import Person
from tests.platforms.single import SingleProcess

AUDIT = "/api/v1/admin/audit"
JANUARY_2020 = "from=2020-01-01T00:00:00Z&to=2020-02-01T00:00:00Z"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SingleProcess]:
    """Start the one-process shape, which archives into its data folder."""
    folder = tmp_path_factory.mktemp("archiving")
    running = SingleProcess(folder, {"ARCHIVE_PERSONAL_DAYS": "36500"})
    running.start()
    yield running
    running.stop()


async def test_an_archived_month(platform: SingleProcess, person: Person) -> None:
    """Its events leave the database, are read as before, and forget whom they must forget."""
    await person.join()
    happened = await _remember(platform, person)
    async with platform.admin() as admin:
        before = await _get(admin, f"{AUDIT}?{JANUARY_2020}")
    assert [item["id"] for item in before["items"]] == [str(one) for one in reversed(happened)]

    await asyncio.to_thread(_restart, platform)

    async with platform.admin() as admin:
        told = await eventually(partial(_told, admin), within=30)
        assert told[0]["data"] == {"partition": "20200101", "rows": 3}
        await eventually(partial(_is_dropped, platform))
        assert await _get(admin, f"{AUDIT}?{JANUARY_2020}") == before
        first = await _get(admin, f"{AUDIT}?{JANUARY_2020}&limit=2")
        second = await _get(admin, f"{AUDIT}?{JANUARY_2020}&limit=2&cursor={first['next_cursor']}")
        assert first["items"] + second["items"] == before["items"]
        assert await _get(admin, f"{AUDIT}/{happened[0]}") == before["items"][-1]
        exported = await admin.call(
            "GET", f"{AUDIT}/export?{JANUARY_2020}", token=admin.access_token
        )
        assert [json.loads(line) for line in exported.text.splitlines()] == before["items"]
        await person.login()
        own = await person.call("GET", "/api/v1/users/me/export", token=person.access_token)
        assert {str(one) for one in happened} <= {
            json.loads(line)["id"] for line in own.text.splitlines()
        }
        assert person.user_id.encode() not in lines(platform.data_dir / "archive")

        body = {"password": person.password}
        gone = await person.call("DELETE", "/api/v1/users/me", body, token=person.access_token)
        assert gone.is_success, gone.text
        await eventually(partial(_is_erased, admin, happened), within=20)


def _restart(platform: SingleProcess) -> None:
    """Stop and start: the archiver looks for work at every start, and hourly."""
    platform.stop()
    platform.start()


async def _remember(platform: SingleProcess, person: Person) -> list[UUID]:
    """Have the log remember that *person* did something long ago."""
    past = Past(_database(platform), FolderStore(str(platform.data_dir / "archive")))
    await past.month(JANUARY, FEBRUARY)
    done = [
        event("identity.login.succeeded.v1", data={"user_id": person.user_id}) for _ in range(3)
    ]
    await past.happened(*done, at=JANUARY)
    await past.close()
    return [one.id for one in done]


async def _is_dropped(platform: SingleProcess) -> bool:
    past = Past(_database(platform), FolderStore(str(platform.data_dir / "archive")))
    dropped = await past.dropped()
    await past.close()
    return dropped == ["20200101"]


async def _told(admin: Person) -> list[Any]:
    found: list[Any] = (await _get(admin, f"{AUDIT}?type=audit.archive.completed.v1"))["items"]
    return found


async def _is_erased(admin: Person, happened: list[UUID]) -> bool:
    items = (await _get(admin, f"{AUDIT}?{JANUARY_2020}"))["items"]
    assert [item["id"] for item in items] == [str(one) for one in reversed(happened)]
    return all(item["erased"] and item["subject"] is None for item in items)


async def _get(admin: Person, path: str) -> Any:
    response = await admin.call("GET", path, token=admin.access_token)
    assert response.status_code == 200, response.text
    return response.json()


def _database(platform: SingleProcess) -> FreshDatabase:
    """Return how audit's embedded database is reached, by both of its roles."""
    port = (platform.data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[3]
    server = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    owner, app = (
        Role(name, _secret(platform.data_dir, f"{name}_password"))
        for name in ("audit_owner", "audit_app")
    )
    return FreshDatabase(
        name="audit",
        app_url=database_url(server, database="audit", role=app),
        owner_url=database_url(server, database="audit", role=owner),
        app_role=app.name,
        owner_role=owner.name,
    )


def _secret(folder: Path, name: str) -> str:
    return (folder / "secrets" / name).read_text(encoding="ascii")
