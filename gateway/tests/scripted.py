"""An upstream that speaks in raw bytes, for what no proper server does."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

ROUTES = """
[[upstream]]
name = "odd"
url = "{url}"
read_timeout = 0.3
connect_timeout = 0.5

[[route]]
path = "/odd/{{rest...}}"
methods = ["GET", "POST", "PUT"]
upstream = "odd"
access = "public"
"""


async def play(script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Run *script* for one connection, to its end or the other's."""
    try:
        await script(reader, writer)
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


@asynccontextmanager
async def scripted(script: Script) -> AsyncIterator[str]:
    """Run *script* for each connection; give the URL."""
    server = await asyncio.start_server(partial(play, script), "127.0.0.1", 0)
    try:
        yield "http://127.0.0.1:{1}".format(*server.sockets[0].getsockname())
    finally:
        server.close()


def saying(answer: bytes) -> Script:
    """Return a script that reads a request's head, says *answer*, and closes."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    return script


def routes_to(url: str, folder: Path) -> Path:
    """Write a route file in front of *url*."""
    path = folder / "odd.toml"
    path.write_text(ROUTES.format(url=url))
    return path
