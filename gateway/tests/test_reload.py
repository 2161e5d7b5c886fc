"""Routes that are read again while requests are being served."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from chassis.testing import eventually
from gateway.tests.scripted import Script, scripted
from gateway.tests.signing import Subject
from gateway.tests.world import World

pytestmark = pytest.mark.slow

ORDERS = "/shop/orders/7"


@pytest.fixture
def change(world: World, tmp_path: Path) -> Callable[..., None]:
    """Give a function that replaces parts of the route file."""
    del world

    def replace(*parts: tuple[str, str], added: str = "") -> None:
        path = tmp_path / "routes.toml"
        text = path.read_text()
        for old, new in parts:
            assert old in text
            text = text.replace(old, new)
        path.write_text(text + added)

    return replace


async def reload(world: World) -> None:
    """Do what SIGHUP does."""
    assert world.gateway.reload is not None
    await world.gateway.reload()


def reloads(world: World, outcome: str) -> float | None:
    """Return how often a reload had this outcome."""
    return world.gateway.metrics.registry.get_sample_value(
        "gatehouse_gateway_reloads_total", {"outcome": outcome}
    )


class TestGoodFile:
    """A file that holds."""

    async def test_takes_effect_for_new_requests(
        self, world: World, change: Callable[..., None]
    ) -> None:
        """A path appears, another goes."""
        assert (await world.ask("GET", "/new/x")).status == 404
        change(('"/open/{rest...}"', '"/new/{rest...}"'))
        assert (await world.ask("GET", "/open/x")).status == 200
        await reload(world)
        assert (await world.ask("GET", "/new/x")).status == 200
        assert (await world.ask("GET", "/open/x")).status == 404
        assert reloads(world, "done") == 1

    async def test_leaves_requests_in_flight_alone(
        self, world: World, change: Callable[..., None]
    ) -> None:
        """They end on the route they began on, also when it is gone and its upstream with it."""
        world.shop.hold = asyncio.Event()
        asking = asyncio.create_task(world.ask("GET", "/open/x"))
        await world.shop.arrived.wait()
        change(('"/open/{rest...}"', '"/new/{rest...}"'), ('name = "shop"', 'name = "store"'))
        change(('upstream = "shop"', 'upstream = "store"'))
        await reload(world)
        world.shop.hold.set()
        assert (await asking).status == 200

    async def test_keeps_the_counts_of_limits_that_stay(
        self, world: World, change: Callable[..., None]
    ) -> None:
        """Nobody gets a fresh allowance by a change elsewhere in the file."""
        headers = world.bearer(Subject())
        for _ in range(5):
            assert (await world.ask("GET", ORDERS, headers=headers)).status == 200
        change(('"/open/{rest...}"', '"/new/{rest...}"'))
        await reload(world)
        assert (await world.ask("GET", ORDERS, headers=headers)).status == 429

    async def test_counts_a_changed_limit_anew(
        self, world: World, change: Callable[..., None]
    ) -> None:
        """Whoever is locked out by a mistake is let in by its correction."""
        headers = world.bearer(Subject())
        change(("5/minute", "1/day"))
        await reload(world)
        assert (await world.ask("GET", ORDERS, headers=headers)).status == 200
        assert (await world.ask("GET", ORDERS, headers=headers)).status == 429
        change(("1/day", "5/minute"))
        await reload(world)
        assert (await world.ask("GET", ORDERS, headers=headers)).status == 200


class TestBadFile:
    """A file that does not hold."""

    @pytest.mark.parametrize(
        ("old", "new", "complaint"),
        [
            ('access = "optional"', 'access = "maybe"', ":19: route /maybe/{rest...}: access: is"),
            ('upstream = "shop"', 'upstream = "ship"', ":7: route /shop/{rest...}: no upstream"),
            ('access = "optional"', "access = ", "line 23"),
        ],
    )
    async def test_changes_nothing_and_is_told(
        self, world: World, change: Callable[..., None], old: str, new: str, complaint: str
    ) -> None:
        """Log and metric say it; the routes are those of before."""
        change((old, new), ('"/open/{rest...}"', '"/new/{rest...}"'))
        with capture_logs() as logs:
            await reload(world)
        assert (await world.ask("GET", "/open/x")).status == 200
        assert (await world.ask("GET", "/new/x")).status == 404
        (line,) = [entry for entry in logs if entry["event"] == "routes.not_reloaded"]
        assert line["log_level"] == "error"
        assert complaint in line["complaints"][0]
        assert (reloads(world, "refused"), reloads(world, "done")) == (1, None)

    async def test_that_is_gone_changes_nothing(self, world: World, tmp_path: Path) -> None:
        """Also when it comes back later."""
        path = tmp_path / "routes.toml"
        text = path.read_text()
        path.unlink()
        await reload(world)
        assert (await world.ask("GET", "/open/x")).status == 200
        path.write_text(text)
        await reload(world)
        assert (reloads(world, "refused"), reloads(world, "done")) == (1, 1)


class TestRemovedUpstream:
    """An upstream that no route names any more."""

    async def test_loses_its_connections_once_they_are_idle(
        self, world: World, change: Callable[..., None]
    ) -> None:
        """The request in flight is answered, then the connection is closed."""
        old = Counted()
        async with scripted(old.script) as url:
            change(
                added=f'[[upstream]]\nname = "old"\nurl = "{url}"\n[[route]]\npath = "/old"\n'
                'methods = ["GET"]\nupstream = "old"\naccess = "public"\n'
            )
            await reload(world)
            asking = asyncio.create_task(world.ask("GET", "/old"))
            await old.asked.wait()
            change(('upstream = "old"', 'upstream = "shop"'), ('name = "old"', 'name = "other"'))
            await reload(world)
            assert old.connections == 1
            old.go.set()
            assert (await asking).status == 204
            await eventually(lambda: old.connections == 0, within=20)


class Counted:
    """An upstream that holds its answer and counts its connections."""

    def __init__(self) -> None:
        self.connections = 0
        self.asked = asyncio.Event()
        self.go = asyncio.Event()

    @property
    def script(self) -> Script:
        """Return what it does with each connection."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            try:
                while await reader.readuntil(b"\r\n\r\n"):
                    self.asked.set()
                    await self.go.wait()
                    writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            finally:
                self.connections -= 1

        return serve
