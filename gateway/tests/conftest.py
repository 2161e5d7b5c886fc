"""Fixtures of the gateway's tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.tests.world import World
from gateway.tests.world import world as start_world


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts a whole gateway: each alone is quick, together they are not."""
    for item in items:
        if "gateway" in item.path.parts and "world" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let gateways wait for a Redis that is there but slow, as on a busy machine."""
    monkeypatch.setattr("gateway.limits.wiring.TIMEOUT", 5.0)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Give a gateway without Redis and without a bus, ready, with limits nobody reaches."""
    async with start_world(tmp_path) as running:
        yield running
