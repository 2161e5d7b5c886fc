"""What every test suite shares: the fixture kit, and uvloop as in production."""

import asyncio
from collections.abc import Callable, Mapping

import uvloop

pytest_plugins = ["chassis.testing.fixtures"]


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run every asynchronous test on the event loop of the deployables."""
    return {"uvloop": uvloop.new_event_loop}
