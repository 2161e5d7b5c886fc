"""The archiver as a task of the service, and its settings."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import structlog
from pydantic import ValidationError

from chassis.background import Background
from chassis.crypto import b64encode
from chassis.database import Database
from chassis.testing import eventually
from services.audit.app import archive_target
from services.audit.archive_store.folder import FolderStore
from services.audit.archive_store.s3 import BucketStore
from services.audit.errors import ArchiveUnavailable
from services.audit.models import AUDIT_PARTITIONS
from services.audit.service.archive.archiver import Archiver
from services.audit.settings import AuditSettings
from services.audit.tests.past import FEBRUARY, JANUARY, Breaking, Past, files, quiet
from services.audit.tests.running import AUDIT, OWN, SECRET, Service
from services.audit.tests.samples import event
from services.audit.tests.world import ADMIN

KEYS = b64encode(b"k" * 32)
FAILURES = "gatehouse_audit_archive_failures_total"


class TestTask:
    """It runs beside the requests."""

    async def test_archives_at_its_start(self, past: Past) -> None:
        """Nobody has to ask for it."""
        async with Background() as background:
            background.start("archiver", lambda: past.archiver.run(background))
            await eventually(lambda: _has_dropped(past, 2))
            success = "gatehouse_audit_archive_last_success_timestamp_seconds"
            await eventually(lambda: past.sample(success) > 0)

        assert past.sample("gatehouse_audit_archive_configured") == 1
        assert _pending(past) == 0

    async def test_warns_where_nothing_is_configured(self, past: Past) -> None:
        """At the start, and with what waits; nothing is dropped."""
        archiver = _without_target(past)
        with structlog.testing.capture_logs() as logged:
            async with Background() as background:
                background.start("archiver", lambda: archiver.run(background))
                await eventually(lambda: _pending(past) == 2)

        warned = [one for one in logged if one["event"] == "archive.not_configured"]
        assert warned[0]["log_level"] == "warning"
        assert warned[-1]["partitions_pending"] == 2
        assert past.sample("gatehouse_audit_archive_configured") == 0
        assert await past.dropped() == []

    async def test_counts_a_store_that_is_away(self, past: Past, folder: Path) -> None:
        """And tries again."""
        store = Breaking(FolderStore(str(folder)), ArchiveUnavailable())
        archiver = past.another(store=store)

        assert not await archiver._pass()
        assert past.sample(FAILURES, reason="store_unavailable") == 1
        assert _pending(past) == 2

        store.error = None
        assert await archiver._pass()
        assert await _has_dropped(past, 2)

    async def test_counts_what_is_damaged(self, past: Past, folder: Path) -> None:
        """That is an error for people to look at."""

        async def damage() -> None:
            for path in files(folder, "*/*.gz"):
                path.write_bytes(b"x")

        archiver = past.another(store=Breaking(FolderStore(str(folder)), meanwhile=damage))
        with structlog.testing.capture_logs() as logged:
            assert not await archiver._pass()

        assert past.sample(FAILURES, reason="damaged") == 1
        assert [one["log_level"] for one in logged if one["event"] == "archive.failed"] == ["error"]

    async def test_counts_a_table_in_use(self, past: Past) -> None:
        """A reader who does not let go holds up the drop, nothing else."""
        async with past.owner() as owner, owner.transaction():
            await owner.execute("SELECT FROM audit_log_20200101 LIMIT 1")
            assert not await past.archiver._pass()

        assert past.sample(FAILURES, reason="postponed") == 1
        assert await past.archiver._pass()
        assert len(await past.told()) == 2

    async def test_counts_a_database_that_is_away(self, past: Past) -> None:
        """With the others of the service."""
        gone = Database("postgresql+asyncpg://nobody@127.0.0.1:9/none")
        archiver = _with(past, database=gone)

        assert not await archiver._pass()

        assert past.sample(FAILURES, reason="database_unavailable") == 1


class TestOverHttp:
    """What callers are told."""

    @pytest.mark.parametrize(
        "ask",
        [
            lambda service, _: service.get(AUDIT, **{"from": "2020-01-01T00:00:00Z"}),
            lambda service, _: service.get(f"{AUDIT}/export", **{"from": "2020-01-01T00:00:00Z"}),
            lambda service, event_id: service.get(f"{AUDIT}/{event_id}"),
        ],
        ids=["list", "export", "entry"],
    )
    async def test_archives_that_cannot_be_read_are_503(
        self, service: Service, folder: Path, ask: Callable[..., Any]
    ) -> None:
        """This service has no store, though somebody has archived."""
        event_id = await _archived(service, folder)

        answer = await ask(service, event_id)

        assert (answer.status_code, answer.json()["code"]) == (503, "archive_unavailable")
        assert answer.headers["retry-after"] == "30"
        assert (await service.get(AUDIT)).status_code == 200
        assert (await service.get(OWN, "user", user=ADMIN)).status_code == 200


class TestSettings:
    """Complete, or refused with a name."""

    def test_nothing_is_archived_by_default(self) -> None:
        """A folder nobody chose is no archive."""
        assert archive_target(_settings()) is None

    def test_a_folder(self, tmp_path: Path) -> None:
        """With its two kinds of keys."""
        target = archive_target(_settings(archive_url=tmp_path.as_uri(), **_keys()))

        assert target is not None
        assert isinstance(target.store, FolderStore)
        assert target.store.url == tmp_path.as_uri()

    def test_a_bucket(self) -> None:
        """With a prefix, and without credentials those of the surroundings."""
        target = archive_target(_settings(archive_url="s3://bucket/prefix", **_keys()))

        assert target is not None
        assert isinstance(target.store, BucketStore)
        assert target.store.url == "s3://bucket/prefix"

    @pytest.mark.parametrize(
        ("told", "name"),
        [
            ({"archive_url": "file:///a"}, "archive_url"),
            ({"archive_url": "file:///a", "archive_signing_keys": KEYS}, "archive_url"),
            ({"archive_url": "file://host/a"}, "archive_url"),
            ({"archive_url": "relative"}, "archive_url"),
            ({"archive_url": "s3://user:password@bucket"}, "archive_url"),
            ({"archive_url": "gs://bucket"}, "archive_url"),
            ({"archive_signing_keys": b64encode(b"short")}, "archive_signing_keys"),
            ({"archive_key_encryption_keys": b64encode(b"l" * 33)}, "archive_key_encryption_keys"),
            ({"archive_s3_endpoint": "http://store.example"}, "archive_s3_endpoint"),
            ({"archive_s3_endpoint": "store.example"}, "archive_s3_endpoint"),
            ({"archive_s3_access_key_id": "id"}, "archive_s3_secret_access_key"),
            ({"archive_s3_secret_access_key": "x"}, "archive_s3_secret_access_key"),
            ({"archive_personal_days": 0}, "archive_personal_days"),
        ],
    )
    def test_what_cannot_be_is_refused(self, told: dict[str, Any], name: str) -> None:
        """Before anything starts."""
        with pytest.raises(ValidationError) as refused:
            _settings(**told)

        assert [one["loc"] for one in refused.value.errors()] == [(name,)]

    def test_no_key_is_printed(self) -> None:
        """Not in a repr, not in a complaint."""
        settings = _settings(archive_url="file:///a", **_keys())

        assert "k" * 32 not in repr(settings)
        assert KEYS not in repr(settings)


def _keys() -> dict[str, str]:
    return {"archive_signing_keys": KEYS, "archive_key_encryption_keys": KEYS}


def _settings(**told: Any) -> AuditSettings:
    return AuditSettings(
        database_url="postgresql+asyncpg://nobody@localhost/none",
        assertion_secrets_from_gateway=b64encode(SECRET),
        **told,
    )


def _without_target(past: Past) -> Archiver:
    return _with(past, target=None)


def _with(past: Past, **changes: Any) -> Archiver:
    names = ("database", "target", "outbox", "clock", "metrics", "retention", "personal_retention")
    return Archiver(**({name: getattr(past.archiver, name) for name in names} | changes))


def _pending(past: Past) -> float:
    return past.sample("gatehouse_audit_archive_partitions_pending")


async def _has_dropped(past: Past, count: int) -> bool:
    return len(await past.dropped()) == count


async def _archived(service: Service, folder: Path) -> Any:
    """Archive a month of this service's database; return the id of one of its events."""
    past = Past(service.world.fresh, FolderStore(str(folder)))
    # The service makes its own partitions when it starts: two at once would wait in a circle.
    await eventually(lambda: past.rows(sa.select(AUDIT_PARTITIONS)))
    await past.month(JANUARY, FEBRUARY)
    happened = event("identity.login.succeeded.v1")
    await past.happened(happened, at=JANUARY)
    assert await past.archiver.archive_due(quiet) == 1
    await past.close()
    return happened.id
