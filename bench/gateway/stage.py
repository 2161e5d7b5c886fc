"""What every system stands on: two cores, a folder, and processes that end with the bench."""

import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from chassis.processes import Child, wait_until

_CORES = 2
_START_SECONDS = 30.0
_TERMINATED = 128 + signal.SIGTERM
_PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR")


@dataclass(frozen=True, slots=True)
class Cores:
    """The core of the system under test, and the one of everybody else."""

    tested: int
    others: int

    @classmethod
    def choose(cls) -> "Cores":
        """Choose two of those this process may use."""
        allowed = sorted(os.sched_getaffinity(0))
        if len(allowed) < _CORES:
            raise SystemExit("this bench needs two cores: one for the system, one for the load")
        return cls(tested=allowed[1], others=allowed[0])


@dataclass(frozen=True, slots=True)
class Started:
    """A running program: its process id, and where its output goes."""

    pid: int
    log: Path


@dataclass(slots=True)
class Stage:
    """Starts programs; `stop` ends them in the reverse order."""

    folder: Path
    cores: Cores
    _children: list[Child] = field(default_factory=list)

    def keep_off(self) -> None:
        """Leave the core of the system under test, and with us what is started beside it."""
        os.sched_setaffinity(0, {self.cores.others})

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        ready: Callable[[], bool],
        env: Mapping[str, str] | None = None,
        tested: bool = False,
    ) -> Started:
        """Start a program and wait until it is *ready*.

        *tested* puts it on the core of the system under test.
        """
        passed = {key: os.environ[key] for key in _PASSED_ON if key in os.environ}
        pinned = ("taskset", "--cpu-list", str(self.cores.tested)) if tested else ()
        child = Child(
            [*pinned, *command], log=self.folder / f"{name}.log", env={**passed, **(env or {})}
        )
        self._children.append(child)
        if not wait_until(lambda: not child.alive or ready(), timeout=_START_SECONDS):
            raise SystemExit(f"{name} is not ready after {_START_SECONDS:.0f} s:\n{_end(child)}")
        if not child.alive:
            raise SystemExit(f"{name} did not start:\n{_end(child)}")
        return Started(child.pid, child.log)

    def write(self, name: str, text: str) -> Path:
        """Write a file for a program to read."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def stop(self) -> None:
        """Stop what was started."""
        for child in reversed(self._children):
            if child.alive:
                child.stop()


@contextmanager
def stage() -> Iterator[Stage]:
    """Give a stage in a folder of its own; leave nothing behind, on SIGTERM neither."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    with tempfile.TemporaryDirectory(prefix="gatehouse-bench-") as name:
        made = Stage(Path(name), Cores.choose())
        try:
            yield made
        finally:
            made.stop()


def local(port: int) -> str:
    """Return the address of a port of this machine."""
    return f"http://127.0.0.1:{port}"


def answers(url: str) -> bool:
    """Say whether somebody answers there, whatever."""
    try:
        httpx.get(url, timeout=1, trust_env=False)
    except httpx.HTTPError:
        return False
    return True


def _end(child: Child) -> str:
    return child.output()[-2000:]
