"""How many connections a gateway takes, on the wire."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from chassis.server import Serving
from chassis.testing import eventually
from gateway.app import build
from gateway.connections.descriptors import RESERVED
from gateway.tests.chats import chatting
from gateway.tests.processes import processes
from gateway.tests.proxies import opened
from gateway.tests.upstreams import AuditService, Echo, TokenService, serving
from gateway.tests.world import World, make_settings
from gateway.tests.world import world as start_world

pytestmark = pytest.mark.slow

FILES = 256
ANN, BEN = "127.0.0.7", "127.0.0.8"
ASK = b"GET /open/x HTTP/1.1\r\nHost: localhost\r\n\r\n"
PAGE = ASK.replace(b"/open/x", b"/verify-email")


@dataclass
class Client:
    """One raw connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def is_served(self, request: bytes = ASK) -> bool:
        """Send a request; say whether it is answered (True), or the connection gone."""
        try:
            self.writer.write(request)
            async with asyncio.timeout(20):
                return (await self.reader.read(65_536)).startswith(b"HTTP/1.1 200 ")
        except ConnectionError:
            return False

    async def is_gone(self) -> bool:
        """Wait for the end; say whether it came without a word."""
        try:
            async with asyncio.timeout(20):
                return await self.reader.read() == b""
        except ConnectionError:
            return True


@dataclass
class Crowd:
    """Connections to one door, from addresses of this machine."""

    host: str
    port: int
    clients: list[Client] = field(default_factory=list)

    async def come(self, peer: str = ANN) -> Client:
        """Connect from *peer*; what comes of it is to be seen."""
        streams = await asyncio.open_connection(self.host, self.port, local_addr=(peer, 0))
        self.clients.append(Client(*streams))
        return self.clients[-1]

    async def leave(self, clients: Sequence[Client] = ()) -> None:
        """Close some, or all."""
        for client in clients or self.clients:
            client.writer.close()


@asynccontextmanager
async def crowd(host: str, port: int) -> AsyncIterator[Crowd]:
    """Give a crowd, which leaves in the end."""
    gathered = Crowd(host, port)
    try:
        yield gathered
    finally:
        await gathered.leave()


def metric(world: World, name: str, door: str = "http", **labels: str) -> float | None:
    """Return a metric of the connections."""
    return world.gateway.metrics.registry.get_sample_value(
        f"gatehouse_gateway_connections_{name}", {"door": door, **labels}
    )


class TestPeer:
    """One that has more connections than it may."""

    async def test_is_refused_while_another_is_served(self, tmp_path: Path) -> None:
        """Reset without a word; its others go on, and the next is let in when one has gone."""
        async with (
            start_world(tmp_path, max_connections_per_address=3) as world,
            crowd(world.host, world.port) as clients,
        ):
            mine = [await clients.come(ANN) for _ in range(3)]
            assert await (await clients.come(ANN)).is_gone()
            assert [await client.is_served() for client in mine] == [True] * 3
            assert await (await clients.come(BEN)).is_served()
            assert metric(world, "refused_total", reason="address") == 1
            await clients.leave(mine[:1])
            await eventually(lambda: metric(world, "open") == 3)
            assert await (await clients.come(ANN)).is_served()
            await clients.leave()
            await eventually(lambda: metric(world, "open") == 0)

    async def test_is_let_be_when_it_is_a_trusted_proxy(self, tmp_path: Path) -> None:
        """It speaks for many."""
        proxy = f"{ANN}/32"
        async with (
            start_world(tmp_path, trusted_proxies=proxy, max_connections_per_address=1) as world,
            crowd(world.host, world.port) as clients,
        ):
            for _ in range(3):
                assert await (await clients.come(ANN)).is_served()

    async def test_is_counted_for_as_long_as_a_websocket_is_open(self, tmp_path: Path) -> None:
        """It has one place, and gives it back in the end."""
        async with chatting(tmp_path, max_connections_per_address=1) as product:
            world = product.world
            async with crowd(world.host, world.port) as clients:
                async with product.dial("/crowd/x", local_addr=(ANN, 0)) as talk:
                    await talk.send("hello")
                    assert await talk.recv() == "hello"
                    assert await (await clients.come(ANN)).is_gone()
                await eventually(lambda: metric(world, "open") == 0)
                assert await (await clients.come(ANN)).is_served(PAGE)


class TestFull:
    """A gateway all of whose places are taken."""

    async def test_closes_who_does_nothing(self, tmp_path: Path) -> None:
        """The oldest: it asks again, on another connection."""
        async with (
            start_world(tmp_path, max_connections=16) as world,
            crowd(world.host, world.port) as clients,
        ):
            idle = [await clients.come() for _ in range(16)]
            assert [await client.is_served() for client in idle] == [True] * 16
            assert await (await clients.come(BEN)).is_served()
            assert await idle[0].is_gone()
            assert await idle[1].is_served()
            assert (metric(world, "open"), metric(world, "gave_way_total")) == (16, 1)

    async def test_refuses_when_all_are_at_work(self, tmp_path: Path) -> None:
        """Answers that are awaited, and requests that have begun."""
        async with (
            start_world(tmp_path, max_connections=16) as world,
            crowd(world.host, world.port) as clients,
        ):
            world.shop.hold = asyncio.Event()
            held = [await clients.come() for _ in range(8)]
            served = [asyncio.create_task(client.is_served()) for client in held]
            await eventually(lambda: len(world.shop.seen) == 8)
            begun = [await clients.come() for _ in range(8)]
            for client in begun:
                client.writer.write(ASK[:20])
            await eventually(lambda: metric(world, "open") == 16)
            # A connection that has said nothing yet would give way.
            await eventually(lambda: _all_begun(world, begun=16))
            assert await (await clients.come(BEN)).is_gone()
            assert metric(world, "refused_total", reason="total") == 1
            world.shop.hold.set()
            assert await asyncio.gather(*served) == [True] * 8
            assert [await client.is_served(ASK[20:]) for client in begun] == [True] * 8

    async def test_leaves_websockets_alone(self, tmp_path: Path) -> None:
        """Whatever they are silent for, they are not idle."""
        async with chatting(tmp_path, max_connections=16) as product:
            world = product.world
            async with (
                product.dial("/crowd/x") as talk,
                crowd(world.host, world.port) as clients,
            ):
                for _ in range(40):
                    await clients.come()
                await eventually(lambda: metric(world, "gave_way_total") == 25)
                await talk.send("still here")
                assert await talk.recv() == "still here"

    async def test_has_places_for_proxies_that_ask(self, tmp_path: Path) -> None:
        """At a door of their own, whose places the public cannot take."""
        async with opened(tmp_path, max_connections=16) as door:
            assert metric(door.world, "most") == 14
            assert metric(door.world, "most", door="forward-auth") == 2
            async with crowd(*door.address) as proxies:
                for _ in range(2):
                    await proxies.come("127.0.0.1")
                await eventually(lambda: metric(door.world, "open", door="forward-auth") == 2)
            assert metric(door.world, "open") == 0

    async def test_answers_its_operators(self, tmp_path: Path) -> None:
        """Their port is counted by nobody."""
        apps = {"identity": Echo("identity"), "notify": Echo("notify"), "shop": Echo()}
        async with serving(token=TokenService(), audit=AuditService(), **apps) as urls:
            gateway = build(make_settings(urls, max_connections=16, state_dir=tmp_path))
            running = Serving([gateway])
            await running.start()
            async with crowd(*running.addresses["gateway"]) as clients:
                for _ in range(16):
                    (await clients.come()).writer.write(ASK[:20])
                async with crowd(*running.ops_addresses["gateway"]) as operators:
                    asked = ASK.replace(b"/open/x", b"/health/live")
                    for _ in range(20):
                        assert await (await operators.come()).is_served(asked)
            await running.drain()


class TestFewFiles:
    """A process that may open few files, and a flood of connections from many addresses."""

    async def test_serves_who_asks_something(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Also the operators; no file is missing at any moment."""
        started = f"ulimit -n {FILES}; exec {sys.executable} -m gateway"
        monkeypatch.setattr("gateway.tests.processes._COMMAND", ["sh", "-c", started])
        async with processes(tmp_path) as gateway, crowd("127.0.0.1", gateway.port) as clients:
            places = await gateway.samples("gatehouse_gateway_connections_most", door="http")
            assert places == {"": (FILES - RESERVED) // 2}
            gateway.shop.hold = asyncio.Event()
            held = [await clients.come(BEN) for _ in range(20)]
            served = [asyncio.create_task(client.is_served()) for client in held]
            await eventually(lambda: len(gateway.shop.seen) == len(held))
            for number in range(500):
                await clients.come(f"127.0.{number % 9}.9")
            assert await gateway.ready()
            gateway.shop.hold.set()
            assert await asyncio.gather(*served) == [True] * len(held)
            assert await (await clients.come(ANN)).is_served()
            open_ = await gateway.samples("gatehouse_gateway_connections_open", door="http")
            assert open_[""] <= places[""]
            assert "Too many open files" not in gateway.child.output()


def _all_begun(world: World, *, begun: int) -> bool:
    """Say whether so many connections have something to do."""
    places = world.gateway.protocol.places  # type: ignore[attr-defined]  # it is ours
    return sum(not held.is_idle for held in places._held) == begun
