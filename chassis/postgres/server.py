"""The supervisor of one private server: make, start, stop, and take over after a crash."""

import contextlib
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from chassis.postgres.binaries import Installation, PostgresError, find_installation
from chassis.postgres.folder import claim, stop_leftover
from chassis.postgres.initdb import SUPERUSER, environment, initialise
from chassis.postgres.users import Identity, choose_identity, take_ownership
from chassis.processes import Child, free_port, wait_until

START_SECONDS = 60.0
STOP_SECONDS = 15.0
STALE_LOCK_SECONDS = 5.0
LOG_BYTES = 10_000_000

# Few enough bytes of log that recovery after a kill stays within seconds.
_DURABLE = {"max_wal_size": "256MB", "checkpoint_timeout": "2min"}
_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class PrivatePostgres:
    """A PostgreSQL server of our own in the folder *data*, on TCP 127.0.0.1 alone.

    The folder is made on the first start, its superuser `postgres` gets *password* then. With
    *durable* off the server keeps nothing through a power cut: for tests. It dies with this
    process; a server that a killed process left behind is stopped and replaced. Start it from the
    main thread (see chassis.processes). Every failure is a PostgresError.
    """

    def __init__(
        self,
        data: Path,
        *,
        password: str,
        installation: Installation | None = None,
        port: int | None = None,
        durable: bool = True,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.data = data.absolute()
        self.log = self.data.with_name(f"{self.data.name}.log")
        self.port = port or 0
        self._fixed_port = port is not None
        self._password = password
        self._durable = durable
        self._settings = {**(_DURABLE if durable else _FAST), **(settings or {})}
        self._installation = installation
        self._child: Child | None = None
        self._claim: int | None = None

    @property
    def installation(self) -> Installation:
        """The programs in use: those of the data's own version. Raises PostgresError."""
        made_by = self.data / "PG_VERSION"
        major = int(made_by.read_text()) if made_by.exists() else None
        chosen = self._installation or find_installation(major)
        if major is not None and major != chosen.major:
            raise PostgresError(
                f"{self.data} was made by PostgreSQL {major}, not {chosen.major}: choose another"
                " folder, or install that version"
            )
        self._installation = chosen
        return chosen

    @property
    def admin_url(self) -> str:
        """The superuser's URL (`postgresql://…/postgres`): a secret."""
        password = quote(self._password, safe="")
        return f"postgresql://{SUPERUSER}:{password}@127.0.0.1:{self.port}/postgres"

    @property
    def pid(self) -> int:
        """The process id of the running postmaster."""
        return self._running().pid

    @property
    def alive(self) -> bool:
        """Whether it has been started and still runs."""
        return self._child is not None and self._child.alive

    def start(self) -> None:
        """Make the data folder if there is none, start, and return when connections are taken."""
        if self._child is not None:
            raise PostgresError(f"PostgreSQL in {self.data} has been started already")
        self._claim = claim(self.data)
        try:
            identity = choose_identity(self.installation)
            stop_leftover(self.data)
            if not (self.data / "PG_VERSION").exists():
                self._initialise(identity)
            take_ownership(self.data, identity)
            self._start_until_ready(identity)
        except BaseException:
            self._discard()
            raise

    def stop(self) -> None:
        """Stop in good order (open connections are closed); harmless when it does not run."""
        child, self._child = self._child, None
        if child is not None:
            child.stop(signal.SIGINT, timeout=STOP_SECONDS)
        self._release()

    def kill(self) -> None:
        """Kill it at once, as a crash would: for tests."""
        self._running()
        self._discard()

    def restart(self) -> None:
        """Start again on the same port, after stop or kill or while it runs."""
        self.stop()
        self._fixed_port = True
        self.start()

    def _running(self) -> Child:
        if self._child is None:
            raise PostgresError(f"PostgreSQL in {self.data} has not been started")
        return self._child

    def _discard(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()
        self._release()

    def _release(self) -> None:
        if self._claim is not None:
            os.close(self._claim)
            self._claim = None

    def _initialise(self, identity: Identity) -> None:
        initialise(
            self.data,
            password=self._password,
            installation=self.installation,
            identity=identity,
            durable=self._durable,
        )

    def _start_until_ready(self, identity: Identity) -> None:
        give_up = time.monotonic() + STALE_LOCK_SECONDS
        while True:
            if not self._fixed_port:
                self.port = free_port()
            self._child = self._spawn(identity)
            if self._became_ready(self._child):
                return
            complaint = self._child.output()
            self._child.kill()
            self._child = None
            if not self._may_pass(complaint) or time.monotonic() > give_up:
                raise PostgresError(
                    f"PostgreSQL did not start: {_last_fatal(complaint)} (all of it: {self.log})"
                )
            time.sleep(0.1)

    def _spawn(self, identity: Identity) -> Child:
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",  # a path over 107 bytes would not start
            "port": str(self.port),
            **self._settings,
        }
        command = [*identity.prefix, self.installation.program("postgres")]
        command += ["-D", str(self.data)]
        command += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return Child(command, log=self.log, env=environment(), death_signal=signal.SIGINT)

    def _became_ready(self, child: Child) -> bool:
        wait_until(lambda: not child.alive or self._says_ready(child), timeout=START_SECONDS)
        return child.alive and self._says_ready(child)

    def _says_ready(self, child: Child) -> bool:
        """Read what pg_ctl reads: line 1 is the process, line 8 its state (miscinit.c)."""
        with contextlib.suppress(OSError):
            lines = (self.data / "postmaster.pid").read_text().split("\n")
            return len(lines) > 7 and lines[0] == str(child.pid) and lines[7].strip() == "ready"  # noqa: PLR2004 - line 8
        return False

    def _may_pass(self, complaint: str) -> bool:
        """Say whether trying again can help: a dying predecessor, or a port just taken."""
        if "lock file" in complaint or "pre-existing shared memory" in complaint:
            return True
        return not self._fixed_port and "could not create any TCP/IP sockets" in complaint


def _last_fatal(output: str) -> str:
    lines = [line for line in output.splitlines() if "FATAL:" in line or "PANIC:" in line]
    lines = lines or output.splitlines() or ["it printed nothing"]
    return lines[-1].rpartition("FATAL:")[2].strip()
