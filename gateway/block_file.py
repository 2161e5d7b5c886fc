"""The last known list of blocks on disk, for a start while audit is away (D26)."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from chassis.logs import get_logger
from contracts.internal import IpBlock, IpBlockList

_NAME = "ip-blocks.json"
log = get_logger(__name__)


class BlockFile:
    """`ip-blocks.json` (0600) in *folder*; without a folder nothing is kept.

    It is written whole or not at all, so that workers may share it. What goes wrong is logged and
    harms nobody: audit has the list.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def read(self) -> Sequence[IpBlock] | None:
        """Return the list as it was last written; None when there is none to be read."""
        if self._folder is None:
            return None
        try:
            content = (self._folder / _NAME).read_bytes()
            return IpBlockList.model_validate_json(content).blocks
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            log.warning("ip_blocks.file_not_read", error=type(error).__name__)
            return None

    def write(self, known: IpBlockList) -> None:
        """Keep the list; blocks while it writes."""
        if self._folder is None:
            return
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, draft = tempfile.mkstemp(dir=self._folder, prefix=f"{_NAME}.")
            try:
                with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                    file.write(known.model_dump_json())
                Path(draft).replace(self._folder / _NAME)
            except OSError:
                Path(draft).unlink(missing_ok=True)
                raise
        except OSError as error:
            log.warning("ip_blocks.file_not_written", error=type(error).__name__)
