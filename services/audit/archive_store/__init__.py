"""Where archives are kept: a folder, or a bucket of an S3-compatible store (D18)."""

from collections.abc import Sequence
from typing import Protocol
from urllib.parse import unquote, urlsplit

from services.audit.archive_store.folder import FolderStore
from services.audit.archive_store.s3_settings import S3Settings


class ArchiveStore(Protocol):
    """Keeps objects by name (`<partition>/<object>`); what is put stays, durably and whole.

    Everything raises ArchiveUnavailable when the store cannot be reached, or refuses us.
    """

    @property
    def url(self) -> str:
        """Return where it is, without credentials."""
        ...

    async def put(self, name: str, data: bytes) -> None:
        """Store *data*; return once it would survive a power cut."""
        ...

    async def get(self, name: str) -> bytes | None:
        """Return an object, or None when there is none."""
        ...

    async def has(self, name: str) -> bool:
        """Say whether there is an object."""
        ...

    async def names(self, folder: str) -> Sequence[str]:
        """Return everything that is in *folder*, half-written drafts too."""
        ...

    async def remove(self, names: Sequence[str]) -> None:
        """Remove these objects; those that are gone already are gone."""
        ...


def open_store(url: str, s3: S3Settings) -> ArchiveStore:
    """Return the store of `file:///folder` or `s3://bucket/prefix`."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return FolderStore(unquote(parts.path))
    # Ten MiB of library that a folder does not need.
    from services.audit.archive_store.s3 import BucketStore  # noqa: PLC0415

    return BucketStore(parts.netloc, parts.path.strip("/"), s3)


__all__ = ["ArchiveStore", "S3Settings", "open_store"]
