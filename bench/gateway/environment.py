"""The packages that a gateway's image has, and no others: what else is installed may be loaded too.

structlog does so with rich, which is five MiB.
"""

import re
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from tests.platforms.process import ROOT

_LOCK = ROOT / "requirements" / "gateway.txt"
_LOCKED = re.compile(r"^([\w.-]+)==", re.MULTILINE)


def packages_of_the_image(folder: Path) -> Path:
    """Fill *folder* with links to what the lock of the image names; return it."""
    folder.mkdir(exist_ok=True)
    for name in _LOCKED.findall(_LOCK.read_text(encoding="utf-8")):
        with suppress(PackageNotFoundError):  # locked for other versions of Python
            _link(name, folder)
    return folder


def _link(name: str, folder: Path) -> None:
    found = distribution(name)
    for top in {file.parts[0] for file in found.files or ()} - {".."}:
        if not (folder / top).exists():
            (folder / top).symlink_to(Path(str(found.locate_file(top))))
