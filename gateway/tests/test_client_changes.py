"""The metric that tells whether all requests come from one address (D19)."""

from pathlib import Path

import pytest

from gateway.tests.world import World
from gateway.tests.world import world as start_world

CLIENTS = ("1.1.1.1", "1.1.1.1", "1.1.1.2", "2001:db8::1", "1.1.1.1")


async def changes(world: World) -> float | None:
    """Ask once for each client, as a proxy would, and return what was counted."""
    for client in CLIENTS:
        await world.ask("GET", "/open/x", headers={"X-Forwarded-For": client})
    registry = world.gateway.metrics.registry
    return registry.get_sample_value("gatehouse_gateway_client_changes_total")


class TestChanges:
    """Many people, and one proxy in front of them."""

    @pytest.mark.parametrize(("trusted", "counted"), [("", 0), ("127.0.0.1/32", 3)])
    async def test_are_none_where_the_proxy_is_not_trusted(
        self, tmp_path: Path, trusted: str, counted: int
    ) -> None:
        """Then they are one client; else each that follows another is counted."""
        async with start_world(tmp_path, trusted_proxies=trusted) as world:
            assert await changes(world) == counted
