"""A bucket of an S3-compatible store, by obstore (the Rust crate object_store)."""

import asyncio
from collections.abc import Awaitable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from services.audit.archive_store.s3_settings import S3Settings
from services.audit.errors import ArchiveUnavailable

T = TypeVar("T")

_CONNECT = timedelta(seconds=5)
_TRIES = 2


class BucketStore:
    """Objects below *prefix* of *bucket*."""

    def __init__(self, bucket: str, prefix: str, settings: S3Settings) -> None:
        self.url = f"s3://{bucket}/{prefix}".rstrip("/")
        self._whole = settings.timeout_seconds
        options: dict[str, Any] = {
            "endpoint": settings.endpoint,
            "access_key_id": settings.access_key_id,
            "secret_access_key": settings.secret_access_key,
        }
        self._store = S3Store(
            bucket,
            prefix=prefix or None,
            region=settings.region,
            client_options={
                "allow_http": (settings.endpoint or "").startswith("http://"),
                "connect_timeout": _CONNECT,
                "timeout": timedelta(seconds=settings.timeout_seconds),
            },
            retry_config={
                "max_retries": _TRIES,
                "retry_timeout": timedelta(seconds=settings.timeout_seconds),
            },
            **{name: value for name, value in options.items() if value is not None},
        )

    async def put(self, name: str, data: bytes) -> None:
        """Store *data* by one request. Raises ArchiveUnavailable."""
        await self._within(obstore.put_async(self._store, name, data, use_multipart=False))

    async def get(self, name: str) -> bytes | None:
        """Return an object, or None. Raises ArchiveUnavailable."""
        return await self._within(self._get(name))

    async def has(self, name: str) -> bool:
        """Say whether there is an object. Raises ArchiveUnavailable."""
        return await self._within(self._has(name))

    async def names(self, folder: str) -> Sequence[str]:
        """Return all objects of *folder*. Raises ArchiveUnavailable."""
        listed = await self._within(obstore.list(self._store, folder).collect_async())
        return [one["path"] for one in listed]

    async def remove(self, names: Sequence[str]) -> None:
        """Remove these objects. Raises ArchiveUnavailable."""
        if names:
            await self._within(obstore.delete_async(self._store, names))

    async def _get(self, name: str) -> bytes | None:
        try:
            answer = await obstore.get_async(self._store, name)
            return bytes(await answer.bytes_async())
        except FileNotFoundError:
            return None

    async def _has(self, name: str) -> bool:
        try:
            await obstore.head_async(self._store, name)
        except FileNotFoundError:
            return False
        return True

    async def _within(self, call: Awaitable[T]) -> T:
        """Await *call* for as long as a call may take, its retries included."""
        try:
            async with asyncio.timeout(self._whole):
                return await call
        except (BaseError, OSError, TimeoutError) as error:
            # The library's text may quote the request: the kind says enough.
            raise ArchiveUnavailable(type(error).__name__) from error
