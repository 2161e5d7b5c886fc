"""Child processes that do not outlive us: own session, own log, dead when their parent is dead.

A child gets a session of its own, so that Ctrl-C in a terminal reaches only us and we stop things
in our order. On Linux it asks the kernel for a signal at the death of its parent (PDEATHSIG). That
signal is tied to the *thread* that started the child: start children from the main thread.
"""

import contextlib
import os
import platform
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_POLL_SECONDS = 0.02
_LINUX = platform.system() == "Linux"
# Below every system's range for outgoing connections (from 32768 on Linux, 49152 elsewhere).
_PORTS = range(20_000, 32_000)
_TRIES = 100
_RANDOM = secrets.SystemRandom()
# By the time so many others were asked for, whoever asked for a port listens on it.
_HELD_AT_MOST = 64
_HELD: deque[int] = deque()

# Run before the program itself: ask for the death signal, and notice a parent that died meanwhile.
# prctl(1) is PR_SET_PDEATHSIG (prctl(2)).
_UNTIL_PARENT_DIES = """
import ctypes, os, sys
parent, number, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
ctypes.CDLL(None).prctl(1, number)
if os.getppid() != parent:
    sys.exit(1)
os.execvp(program[0], program)
"""


class Child:
    """A started program, its output appended to *log*.

    *death_signal* is what it gets when our process dies (Linux; elsewhere it lives on).
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str],
        death_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.log = log
        with log.open("ab") as output:
            self.log_start = output.tell()
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                [*_death_watch(death_signal), *command],
                stdin=subprocess.DEVNULL,
                stdout=output,  # never ours: an inherited pipe hangs whoever reads it to its end
                stderr=subprocess.STDOUT,
                env=dict(env),
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id, also that of its process group."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """How it has ended, negative for a signal; None while it runs."""
        return self._process.poll()

    def output(self) -> str:
        """Return what it has printed since its start."""
        with self.log.open("rb") as log:
            log.seek(self.log_start)
            return log.read().decode(errors="replace")

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process alone."""
        self._process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM, *, timeout: float = 10.0) -> None:
        """Ask it to end, wait *timeout* seconds, then kill its process group."""
        self.send(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout)
        self.kill()

    def kill(self) -> None:
        """Kill the process group and reap the process; harmless when it has ended."""
        if not self.alive:
            return  # its number may be another's by now
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()


def wait_until(condition: Callable[[], bool], *, timeout: float) -> bool:
    """Poll *condition* for at most *timeout* seconds; say whether it came true."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def free_port() -> int:
    """Return a TCP port on 127.0.0.1 that nobody listens on, and no other call returns soon.

    Never one that the system gives to outgoing connections: between this answer and the listener of
    whoever asked, another process would be given it. Another process that asks here is kept off by
    the UDP port of the same number, which we hold. Raises OSError when there is none.
    """
    for port in _RANDOM.sample(_PORTS, _TRIES):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            _hold(port)
            return port
    raise OSError(f"none of {_TRIES} ports of 127.0.0.1 can be listened on")


def _hold(port: int) -> None:
    """Take the UDP port, and let go of the oldest. Raises OSError when it is taken."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", port))
        _HELD.append(taken.detach())
    if len(_HELD) > _HELD_AT_MOST:
        os.close(_HELD.popleft())


def command_of(pid: int) -> str:
    """Return the command line of a process; empty when it is gone or a zombie."""
    if _LINUX:
        with contextlib.suppress(OSError):
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        return ""
    answer = subprocess.run(  # noqa: S603 - no input but a number
        ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)],
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
    return answer.stdout.strip()


def _death_watch(number: signal.Signals) -> list[str]:
    if not _LINUX:
        return []
    python = [sys.executable, "-I", "-S", "-c", _UNTIL_PARENT_DIES]
    return [*python, str(os.getpid()), str(int(number))]
