"""`python -m services.audit archive …`, as an operator runs it: a process of its own."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from datetime import timedelta
from pathlib import Path

import pytest

from chassis.crypto import b64encode
from services.audit.tests.past import FEBRUARY, JANUARY, Past, files
from services.audit.tests.running import SECRET
from services.audit.tests.samples import event

ROOT = Path(__file__).resolve().parents[3]
ROWS = 9_000


@pytest.fixture
def environment(past: Past, folder: Path) -> dict[str, str]:
    """Give what the process is told."""
    keys = b64encode(past.keys[0])
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "DATABASE_URL": past.fresh.app_url,
        "ASSERTION_SECRETS_FROM_GATEWAY": b64encode(SECRET),
        "ARCHIVE_URL": folder.as_uri(),
        "ARCHIVE_PERSONAL_DAYS": "36500",
        "ARCHIVE_SIGNING_KEYS": keys,
        "ARCHIVE_KEY_ENCRYPTION_KEYS": keys,
    }


class TestKilled:
    """kill -9, not a fault of our own making."""

    @pytest.mark.slow
    async def test_another_run_goes_on_where_it_was(
        self, past: Past, folder: Path, environment: dict[str, str]
    ) -> None:
        """What is on record is not written again; nothing is lost, doubled or left over."""
        await past.happened(
            *(event("identity.login.succeeded.v1") for _ in range(ROWS)), at=JANUARY
        )
        before = len(await past.log())
        process = await _start(environment, "run")
        await _read_until(process, "object written")
        process.send_signal(signal.SIGKILL)
        await process.communicate()
        kept = [row.name for row in await past.objects()]
        assert 1 <= len(kept) < 6
        assert len(await past.log()) == before

        code, out, err = await _run(environment, "run")

        assert (code, out) == (0, "2 partitions archived and dropped\n"), err
        assert [row.name for row in await past.objects()][: len(kept)] == kept
        assert sum(row.row_count for row in await past.objects()) == before
        assert len(files(folder, "*/*")) == len(await past.objects()) + 2
        assert [one["rows"] for one in await past.told()] == [ROWS + 7, 1]
        assert await past.log() == []
        assert (await past.verify("20200101")).open_shares == ROWS + 7


class TestCommands:
    """What an operator can ask for."""

    async def test_the_help_shows_examples(self, environment: dict[str, str]) -> None:
        """Of every command."""
        code, out, _ = await _run(environment, "--help")

        assert code == 0
        for name in ("run", "list", "verify", "discard"):
            assert f"python -m services.audit archive {name}" in out

    async def test_list_and_verify(self, past: Past, environment: dict[str, str]) -> None:
        """What there is, which key signs, and whether all is whole."""
        await past.archive()

        code, listed, err = await _run(environment, "list")
        assert code == 0, err
        assert f"signing key {next(iter(past.target.signer.public_keys))}  Ed25519 " in listed
        assert "20200101  7 rows  verified " in listed
        assert listed.endswith("0 partitions past their retention are in the database\n")

        code, out, err = await _run(environment, "verify")
        assert code == 0, err
        assert "20200101 is whole: 7 rows in 3 objects, 7 personal shares readable" in out
        assert "20200201 is whole: 1 rows in 1 objects" in out

    async def test_verify_names_what_is_damaged(
        self, past: Past, folder: Path, environment: dict[str, str]
    ) -> None:
        """And looks at the others all the same."""
        await past.archive()
        files(folder, "20200101/000001-*")[0].unlink()

        code, out, err = await _run(environment, "verify")

        assert code == 1
        assert "20200101 is damaged: 20200101/000001-" in err
        assert "20200201 is whole" in out
        assert (await _run(environment, "verify", "201912"))[::2] == (1, "201912 is not archived\n")

    async def test_discard(self, past: Past, environment: dict[str, str]) -> None:
        """A verified archive stays."""
        await past.archive()

        code, _, err = await _run(environment, "discard", "20200101")

        assert (code, err) == (1, "20200101 has no archive that may be discarded\n")

    async def test_run_leaves_what_is_younger(
        self, past: Past, environment: dict[str, str]
    ) -> None:
        """AUDIT_RETENTION_DAYS is what the service has."""
        age = past.clock.now() - FEBRUARY
        assert age > timedelta(days=90)

        code, out, err = await _run(environment | {"AUDIT_RETENTION_DAYS": "3650"}, "run")

        assert (code, out) == (0, "0 partitions archived and dropped\n"), err
        assert await past.dropped() == []

    async def test_wants_its_settings(self, environment: dict[str, str]) -> None:
        """Exit 78, with every complaint."""
        del environment["ARCHIVE_URL"], environment["DATABASE_URL"]

        code, _, err = await _run(environment, "run")

        assert code == 78
        assert "ARCHIVE_URL: is not set" in err
        assert "DATABASE_URL: is not set" in err

    async def test_says_that_the_store_is_away(
        self, environment: dict[str, str], tmp_path: Path
    ) -> None:
        """And that nothing was dropped is the exit code's."""
        (blocked := tmp_path / "blocked").touch()

        code, out, err = await _run(environment | {"ARCHIVE_URL": blocked.as_uri()}, "run")

        assert (code, out) == (1, "")
        assert "the store cannot be used" in err


async def _start(environment: dict[str, str], *arguments: str) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.audit",
        "archive",
        *arguments,
        env=environment,
        cwd=ROOT,
        stdout=PIPE,
        stderr=PIPE,
    )


async def _run(environment: dict[str, str], *arguments: str) -> tuple[int | None, str, str]:
    process = await _start(environment, *arguments)
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def _read_until(process: Process, text: str) -> None:
    assert process.stderr is not None
    async for line in process.stderr:
        if text in line.decode():
            return
    raise AssertionError(f"it ended without a word of {text!r}")
