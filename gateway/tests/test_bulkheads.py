"""Routes of one bulkhead wait for each other alone."""

import asyncio
from pathlib import Path

from chassis.testing import eventually
from gateway.tests.world import world as start_world

ROUTES = """
[[upstream]]
name = "mill"
url = "{url}"
max_requests = 2
max_waiting = 1
queue_timeout = 0.2

[[route]]
path = "/mill/slow/{{rest...}}"
methods = ["GET"]
upstream = "mill"
access = "public"
bulkhead = "grinding"

[[route]]
path = "/mill/quick"
methods = ["GET"]
upstream = "mill"
access = "public"
"""


class Mill:
    """Answers at once, but for `/mill/slow/…`, which it holds until it is let go."""

    def __init__(self) -> None:
        self.holding = 0
        self.go = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if b"/slow/" in head:
                    self.holding += 1
                    await self.go.wait()
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


class TestBulkhead:
    """A bulkhead whose connections are all taken."""

    async def test_leaves_the_other_routes_their_connections(self, tmp_path: Path) -> None:
        """Its own callers are told to come back; everybody else is answered."""
        mill = Mill()
        server = await asyncio.start_server(mill, "127.0.0.1", 0)
        routes = tmp_path / "mill.toml"
        port = server.sockets[0].getsockname()[1]
        routes.write_text(ROUTES.format(url=f"http://127.0.0.1:{port}"), encoding="utf-8")
        async with server, start_world(tmp_path, routes_file=routes) as world:
            waiting = [
                asyncio.create_task(world.ask("GET", f"/mill/slow/{number}")) for number in range(2)
            ]
            await eventually(lambda: mill.holding == 2)
            refused = await world.ask("GET", "/mill/slow/2")
            quick = await world.ask("GET", "/mill/quick")
            mill.go.set()
            slow = await asyncio.gather(*waiting)
        assert (refused.status, refused.document["code"]) == (503, "upstream_busy")
        assert refused.headers["Retry-After"] == "1"
        assert quick.status == 204
        assert [answer.status for answer in slow] == [204, 204]
