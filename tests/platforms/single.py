"""Shape one: the whole platform in one process, as `make run` starts it."""

import signal
from collections.abc import Mapping
from pathlib import Path

from chassis.processes import free_port
from tests.platforms.mailbox import LocalInbox, Mailbox
from tests.platforms.platform import Platform, wait_until_ready
from tests.platforms.process import PlatformProcess


class SingleProcess(Platform):
    """`python -m allinone` on its own data folder and port."""

    shape = "one process"

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(folder, settings)
        self._port = free_port()
        self.data_dir = folder / "data"
        self.process = PlatformProcess(
            "allinone",
            {
                **self.settings,
                "PORT": str(self._port),
                "DATA_DIR": str(self.data_dir),
                "LOG_FORMAT": "json",
            },
            folder / "allinone.log",
        )

    @property
    def base_url(self) -> str:
        """Return the gateway's address."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def origin(self) -> str:
        """Return what people type."""
        return f"http://localhost:{self._port}"

    @property
    def mailbox(self) -> Mailbox:
        """Return the local inbox."""
        return LocalInbox(self.base_url)

    @property
    def keys(self) -> frozenset[str]:
        """Return what it has written to its folder of secrets."""
        return frozenset(path.read_text() for path in (self.data_dir / "secrets").iterdir())

    def start(self) -> None:
        """Start it and wait until the gateway answers with keys."""
        self.process.start()
        jwks = f"{self.base_url}/.well-known/jwks.json"
        try:
            wait_until_ready(lambda client: client.get(jwks).is_success, [self.process])
        except BaseException:
            self.process.kill()
            raise

    @property
    def gateway_log(self) -> Path:
        """Return the log of everything."""
        return self.process.log

    def hang_up(self) -> None:
        """Send SIGHUP to its one process."""
        self.process.send(signal.SIGHUP)

    def stop(self) -> None:
        """Stop it in good order."""
        assert self.process.stop() == 0, self.process.tail()
