"""Answers that last: server-sent events pass at once, and end with their token."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, timedelta
from pathlib import Path

import pytest

from chassis.clock import SystemClock
from chassis.testing import eventually
from gateway import streams
from gateway.tests.scripted import scripted
from gateway.tests.signing import SigningKey, Subject
from gateway.tests.world import World
from gateway.tests.world import world as start_world

pytestmark = pytest.mark.slow

ROUTES = """
[[upstream]]
name = "news"
url = "{url}"

[[route]]
path = "/news/{{rest...}}"
methods = ["GET"]
upstream = "news"
access = "optional"
"""
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class News:
    """Says one event to each reader, another one to all when told, and sees them leave."""

    def __init__(self) -> None:
        self.more = asyncio.Event()
        self.readers = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        await reader.readuntil(b"\r\n\r\n")
        self.readers += 1
        writer.write(HEAD + b"9\r\ndata: 1\n\n\r\n")
        leaving = asyncio.ensure_future(reader.read())
        telling = asyncio.ensure_future(self.more.wait())
        await asyncio.wait({leaving, telling}, return_when=asyncio.FIRST_COMPLETED)
        if telling.done():
            writer.write(b"9\r\ndata: 2\n\n\r\n")
            await leaving
        telling.cancel()
        self.readers -= 1


class Reader:
    """A client that listens."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def hear(self, event: bytes) -> None:
        """Wait for an event."""
        await self._reader.readuntil(b"data: " + event)

    async def rest(self) -> bytes:
        """Return what comes until the gateway closes."""
        try:
            async with asyncio.timeout(20):
                return await self._reader.read()
        finally:
            self.writer.close()


@asynccontextmanager
async def spreading(tmp_path: Path) -> AsyncIterator[tuple[World, News]]:
    """Start a gateway in front of the news."""
    news = News()
    async with scripted(news) as url:
        routes = tmp_path / "news.toml"
        routes.write_text(ROUTES.format(url=url), encoding="utf-8")
        async with start_world(tmp_path, routes_file=routes) as world:
            yield world, news


async def listen(world: World, headers: dict[str, str]) -> Reader:
    """Ask for the news and hear the first event."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    opened = await asyncio.open_connection(world.host, world.port)
    opened[1].write(f"GET /news/x HTTP/1.1\r\nHost: a\r\n{lines}\r\n".encode())
    client = Reader(*opened)
    await client.hear(b"1")
    return client


def metric(world: World, name: str, **labels: str) -> float | None:
    """Return a metric of the streams."""
    whole = f"gatehouse_gateway_{name}"
    return world.gateway.metrics.registry.get_sample_value(whole, labels)


async def known(world: World, count: int) -> None:
    """Wait until so many streams are known."""
    await eventually(lambda: metric(world, "open_streams") == count)


class TestStreams:
    """Answers to holders of a token."""

    @pytest.mark.parametrize("kind", ["jti", "sid", "sub"])
    async def test_end_when_the_token_is_revoked(self, tmp_path: Path, kind: str) -> None:
        """Visibly cut, upstream too; somebody else's goes on, event by event."""
        ann, ben = Subject(), Subject()
        values = {"jti": "this-one", "sid": str(ann.sid), "sub": ann.id}
        async with spreading(tmp_path) as (world, news):
            mine = await listen(world, world.bearer(ann, jti="this-one"))
            theirs, nobodys = await listen(world, world.bearer(ben)), await listen(world, {})
            await known(world, 2)
            until = SystemClock().now() + timedelta(minutes=5)
            world.token.revoke(kind, values[kind], until.astimezone(UTC), ann.ver + 1)
            rest = await mine.rest()
            await eventually(lambda: news.readers == 2)
            news.more.set()
            await theirs.hear(b"2")
            await nobodys.hear(b"2")
            await known(world, 1)
            reason = "token_stale" if kind == "sub" else "token_revoked"
            ended = metric(world, "streams_ended_total", reason=reason)
            theirs.writer.close()
            await known(world, 0)
            nobodys.writer.close()
        assert not rest.endswith(b"0\r\n\r\n")
        assert ended == 1

    async def test_end_when_the_token_expires(self, tmp_path: Path) -> None:
        """At `exp` and the leeway a request would have had."""
        async with spreading(tmp_path) as (world, news):
            mine = await listen(world, world.bearer(Subject(), lifetime=timedelta(seconds=-28)))
            rest = await mine.rest()
            await eventually(lambda: news.readers == 0)
            assert metric(world, "streams_ended_total", reason="token_expired") == 1
        assert not rest.endswith(b"0\r\n\r\n")

    async def test_end_when_the_key_is_removed(self, tmp_path: Path) -> None:
        """Whatever it has signed."""
        async with spreading(tmp_path) as (world, _):
            mine = await listen(world, world.bearer(Subject()))
            await known(world, 1)
            world.token.keys.append(SigningKey("second"))
            world.token.revoked_keys.append("first")
            await mine.rest()
            assert metric(world, "streams_ended_total", reason="token_stale") == 1

    async def test_end_when_the_token_died_before_they_lasted(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is known only later is judged then."""
        monkeypatch.setattr(streams, "LASTING_SECONDS", 2.0)
        ann = Subject()
        async with spreading(tmp_path) as (world, _):
            mine = await listen(world, world.bearer(ann))
            world.token.revoke("sid", str(ann.sid), SystemClock().now() + timedelta(minutes=5))
            await mine.rest()
            assert metric(world, "streams_ended_total", reason="token_revoked") == 1
