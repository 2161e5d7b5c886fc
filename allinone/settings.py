"""What `make run` can be told; every other variable passes on to the services."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from chassis.settings import Settings


class AllInOneSettings(Settings):
    """The few settings of the all-in-one mode itself."""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    data_dir: Path = Path(".gatehouse")
    public_base_url: str | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "console"

    @property
    def base_url(self) -> str:
        """Return where people reach the platform: the links in mails begin with it."""
        return self.public_base_url or f"http://localhost:{self.port}"
