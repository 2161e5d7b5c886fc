"""A folder as the store: the standard library, because an object must survive a power cut.

(What libraries offer for local files renames without fsync.)
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from services.audit.errors import ArchiveUnavailable

T = TypeVar("T")

_FOLDER_MODE = 0o700
_FILE_MODE = 0o600


class FolderStore:
    """Objects as files below *folder*, readable by this user alone."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    @property
    def url(self) -> str:
        """Return the folder as a URL."""
        return self._folder.as_uri()

    async def put(self, name: str, data: bytes) -> None:
        """Write *data* beside its place, then move it there. Raises ArchiveUnavailable."""
        await _in_thread(lambda: _write(self._folder, self._folder / name, data))

    async def get(self, name: str) -> bytes | None:
        """Return an object, or None. Raises ArchiveUnavailable."""
        return await _in_thread(lambda: _read(self._folder / name))

    async def has(self, name: str) -> bool:
        """Say whether there is an object. Raises ArchiveUnavailable."""
        return await _in_thread((self._folder / name).is_file)

    async def names(self, folder: str) -> Sequence[str]:
        """Return all files of *folder*. Raises ArchiveUnavailable."""
        return await _in_thread(lambda: _names(self._folder, folder))

    async def remove(self, names: Sequence[str]) -> None:
        """Remove these files. Raises ArchiveUnavailable."""
        await _in_thread(lambda: _remove([self._folder / name for name in names]))


async def _in_thread(work: Callable[[], T]) -> T:
    try:
        return await asyncio.to_thread(work)
    except OSError as error:
        raise ArchiveUnavailable(error.strerror) from error


def _write(root: Path, path: Path, data: bytes) -> None:
    folders = (path.parent, root) if root.is_dir() else (path.parent, root, root.parent)
    path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid4().hex}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    for folder in folders:
        _sync(folder)


def _sync(folder: Path) -> None:
    """Make the names in *folder* durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _names(root: Path, folder: str) -> Sequence[str]:
    found = sorted((root / folder).glob("*"))
    return [str(path.relative_to(root)) for path in found if path.is_file()]


def _remove(paths: Sequence[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
