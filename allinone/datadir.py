"""The data folder: secrets made once and kept, and the id of the process that uses it."""

import os
import secrets
from pathlib import Path

from chassis.crypto import KEY_BYTES, b64encode


class DataDir:
    """A folder of mode 0700 that survives stop and kill -9.

    `secrets/` holds one file (0600) per secret, `pid` the id of the running process.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._secrets = self.path / "secrets"
        self._secrets.mkdir(mode=0o700, exist_ok=True)
        self._secrets.chmod(0o700)  # also of a folder that a copy or a restore has left open
        self.pid_file = self.path / "pid"

    def secret(self, name: str) -> str:
        """Return the secret *name*: 32 random bytes in base64url, made on the first call."""
        path = self._secrets / name
        if not path.exists():
            self._write(path, b64encode(secrets.token_bytes(KEY_BYTES)))
        return path.read_text(encoding="ascii")

    def claim(self) -> None:
        """Write the id of this process into `pid`."""
        self.pid_file.write_text(f"{os.getpid()}\n", encoding="ascii")

    def release(self) -> None:
        """Take the id away again."""
        self.pid_file.unlink(missing_ok=True)

    def _write(self, path: Path, text: str) -> None:
        """Write *text* so that a crash leaves either the whole file or none."""
        draft = path.with_suffix(".draft")
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
