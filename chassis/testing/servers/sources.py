"""Where a server can come from when it is not installed: Docker, or Debian's packages."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from chassis.processes import Child, free_port, wait_until

DOCKER_START_SECONDS = 180.0  # the image may have to be pulled
_DOCKER_SECONDS = 60.0
_APT_SECONDS = 300.0
_POLICY = Path("/usr/sbin/policy-rc.d")

Say = Callable[[str], None]


class ServerMissingError(RuntimeError):
    """A server the tests need is not here and cannot be had; the message says what to install."""


class ForeignServerError(RuntimeError):
    """The server is not ours (a URL in the environment): it can be neither killed nor started."""


class Container:
    """A Docker container of ours that serves *inner_port* on a free port of 127.0.0.1."""

    def __init__(self, image: str, *, inner_port: int, env: Mapping[str, str]) -> None:
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="gatehouse-test-docker-"))
        options = [part for name, value in env.items() for part in ("--env", f"{name}={value}")]
        self._id = _docker(
            "create",
            "--label=gatehouse-test",
            f"--publish=127.0.0.1:{self.port}:{inner_port}",
            *options,
            image,
            timeout=DOCKER_START_SECONDS,
        )
        self._attached: Child | None = None

    def start(self) -> None:
        """Start it, and hold it by an attached client that passes our death on."""
        self._attached = Child(
            [_program("docker"), "start", "--attach", self._id],
            log=self._folder / "log",
            env=os.environ,
        )

    def execute(self, *command: str) -> str:
        """Run a command inside it and return what it printed."""
        return _docker("exec", self._id, *command)

    def kill(self) -> None:
        """Kill it; its files stay, so that it can start again."""
        with contextlib.suppress(ServerMissingError):
            _docker("kill", self._id)
        self._detach()

    def freeze(self) -> None:
        """Stop what runs in it from running."""
        _docker("pause", self._id)

    def thaw(self) -> None:
        """Let it run again, if it is frozen."""
        with contextlib.suppress(ServerMissingError):
            _docker("unpause", self._id)

    def remove(self) -> None:
        """Remove it and its files."""
        _docker("rm", "--force", "--volumes", self._id)
        self._detach()
        shutil.rmtree(self._folder, ignore_errors=True)

    def wait(self, ready: Callable[[], bool]) -> None:
        """Wait until *ready* says so. Raises ServerMissingError."""
        if not wait_until(ready, timeout=DOCKER_START_SECONDS):
            raise ServerMissingError(f"the container on port {self.port} did not become ready")

    def _detach(self) -> None:
        if self._attached is not None:
            self._attached.stop(signal.SIGTERM)
            self._attached = None


def docker_answers() -> bool:
    """Say whether there is a Docker engine behind the client."""
    if shutil.which("docker") is None:
        return False
    try:
        _docker("version", "--format", "{{.Server.Version}}", timeout=10)
    except (ServerMissingError, subprocess.TimeoutExpired):
        return False
    return True


def can_apt_install() -> bool:
    """Say whether this is Debian (or a child of it) and we are root."""
    debian = Path("/etc/debian_version").exists() and shutil.which("apt-get") is not None
    return debian and os.geteuid() == 0


def apt_install(package: str, *, say: Say) -> None:
    """Install a Debian package without starting its service. Raises ServerMissingError."""
    say(f"installing {package} with apt-get (once)")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with _no_services():
        for arguments in (["update"], ["install", "-y", "--no-install-recommends", package]):
            answer = subprocess.run(  # noqa: S603 - our own command
                [_program("apt-get"), "-q", *arguments],
                capture_output=True,
                text=True,
                timeout=_APT_SECONDS,
                check=False,
                env=env,
            )
    if answer.returncode != 0:
        last = answer.stderr.strip().splitlines()[-1:]
        raise ServerMissingError(f"apt-get install {package} failed: {' '.join(last)}")


@contextmanager
def _no_services() -> Iterator[None]:
    """Keep package scripts from starting system services (invoke-rc.d asks this file)."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink()


def _docker(*arguments: str, timeout: float = _DOCKER_SECONDS) -> str:
    answer = subprocess.run(  # noqa: S603 - our own command
        [_program("docker"), *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if answer.returncode != 0:
        raise ServerMissingError(f"docker {arguments[0]} failed: {answer.stderr.strip()}")
    return answer.stdout.strip()


def _program(name: str) -> str:
    return shutil.which(name) or name
