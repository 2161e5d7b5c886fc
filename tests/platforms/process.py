"""One process of the platform: started with its environment, ended by its own id."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
_PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "SSL_CERT_FILE")
_STOP_SECONDS = 40


class PlatformProcess:
    """A `python -m MODULE` of the working tree at *root*; its output goes to a file."""

    def __init__(
        self, module: str, environment: Mapping[str, str], log: Path, *, root: Path = ROOT
    ) -> None:
        self.module = module
        self.log = log
        self._root = root
        self.environment = {
            **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            **environment,
            "PYTHONPATH": str(root),
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Say whether it lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Return its id."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it; does not wait."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", *self.module.split()],
                cwd=self._root,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def run(self) -> None:
        """Run it to its end, which must be a good one."""
        self.start()
        assert self._process is not None
        code = self._process.wait(timeout=60)
        assert code == 0, f"{self.module} exited {code}:\n{self.tail()}"

    def stop(self) -> int:
        """Ask it to end (SIGTERM) and return its exit code; 0 when it was not running."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would."""
        self._end(signal.SIGKILL)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; it must be running."""
        assert self._process is not None
        assert self.running, self.tail()
        self._process.send_signal(number)

    def tail(self) -> str:
        """Return the end of its output."""
        return self.log.read_text(errors="replace")[-4000:]

    def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(number)
        return self._process.wait(timeout=_STOP_SECONDS)
