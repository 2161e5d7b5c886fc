"""A local stand-in for an S3-compatible store (moto's server): for tests alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import httpx
from moto.server import ThreadedMotoServer

from services.audit.archive_store import ArchiveStore, S3Settings, open_store


class Buckets:
    """A running stand-in that makes buckets."""

    def __init__(self, url: str) -> None:
        self.url = url

    def create(self) -> str:
        """Make a bucket; return its name."""
        name = f"archive-{uuid4().hex[:12]}"
        httpx.put(f"{self.url}/{name}", timeout=10).raise_for_status()
        return name

    def settings(self, *, timeout_seconds: float = 10) -> S3Settings:
        """Return how it is reached; it takes any credentials."""
        return S3Settings(
            endpoint=self.url,
            access_key_id="test",
            secret_access_key="test",
            timeout_seconds=timeout_seconds,
        )

    def store(self, bucket: str) -> ArchiveStore:
        """Return a bucket as the archiver's store."""
        return open_store(f"s3://{bucket}/prod/audit", self.settings())


@contextmanager
def running() -> Iterator[Buckets]:
    """Run the stand-in on a free port."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield Buckets(f"http://{host}:{port}")
    server.stop()
