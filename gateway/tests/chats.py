"""A product that talks over WebSocket connections, behind a gateway."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Request, Response

from gateway.tests.signing import Subject
from gateway.tests.world import World
from gateway.tests.world import world as start_world

ROUTES = """
[[upstream]]
name = "chat"
url = "{url}"
connect_timeout = 0.5
read_timeout = 2
max_requests = 4
max_waiting = 0

[[route]]
path = "/chat/{{rest...}}"
methods = ["GET", "POST"]
upstream = "chat"
access = "user"
websocket = true

[[route]]
path = "/crowd/{{rest...}}"
methods = ["GET"]
upstream = "chat"
access = "public"
websocket = true
limits = ["3/minute"]

[[route]]
path = "/restless/{{rest...}}"
methods = ["GET"]
upstream = "chat"
access = "public"
websocket = true
idle_timeout = 0.3

[[route]]
path = "/plain/{{rest...}}"
methods = ["GET"]
upstream = "chat"
access = "public"
"""
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


@dataclass
class Chat:
    """A product that repeats what it hears; `refusal` is a status it answers instead."""

    refusal: int | None = None
    seen: list[Request] = field(default_factory=list)
    talking: set[ServerConnection] = field(default_factory=set)

    async def __call__(self, connection: ServerConnection) -> None:
        """Serve one connection."""
        self.talking.add(connection)
        try:
            async for message in connection:
                await connection.send(message)
        finally:
            self.talking.discard(connection)

    def judge(self, connection: ServerConnection, request: Request) -> Response | None:
        """Refuse the handshake, or not."""
        self.seen.append(request)
        if self.refusal is None:
            return None
        response = connection.respond(self.refusal, "not you\n")
        response.headers["X-Why"] = "because"
        return response


@dataclass
class Product:
    """A gateway before a chat."""

    world: World
    chat: Chat

    def dial(self, path: str, *, user: Subject | None = None, **options: Any) -> connect:
        """Return what opens a connection; as *user* by Authorization."""
        headers = self.world.bearer(user) if user else {}
        headers |= options.pop("additional_headers", {})
        return connect(
            f"ws://{self.world.host}:{self.world.port}{path}",
            additional_headers=headers,
            proxy=None,
            open_timeout=20,
            **options,
        )

    async def refusal(self, path: str, **options: Any) -> Any:
        """Open a connection in vain; return the answer."""
        with pytest.raises(InvalidStatus) as refusal:
            await self.dial(path, **options)
        return refusal.value.response

    def metric(self, name: str, **labels: str) -> float | None:
        """Return a metric of the gateway."""
        whole = f"gatehouse_gateway_{name}"
        return self.world.gateway.metrics.registry.get_sample_value(whole, labels)


@asynccontextmanager
async def chatting(
    folder: Path, *, url: str | None = None, **settings: Any
) -> AsyncIterator[Product]:
    """Start a chat and a gateway before it, or before *url*; *settings* are the gateway's."""
    chat = Chat()
    async with serve(chat, "127.0.0.1", 0, process_request=chat.judge, max_size=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        routes = folder / "chat.toml"
        routes.write_text(ROUTES.format(url=url or f"http://127.0.0.1:{port}"), encoding="utf-8")
        async with start_world(folder, routes_file=routes, **settings) as world:
            yield Product(world, chat)


async def over(connection: ClientConnection) -> None:
    """Wait until the connection has ended without a word."""
    async with asyncio.timeout(20):
        with pytest.raises(ConnectionClosed):
            while True:
                await connection.recv()


def handshake(path: str) -> bytes:
    """Return a handshake as a client writes it."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\n"
        f"Upgrade: WebSocket\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()
