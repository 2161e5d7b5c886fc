"""The gateway as it is served in production: listeners, headers, drain."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from chassis.server import Serving
from chassis.testing import eventually
from gateway.app import build
from gateway.tests.scripted import routes_to
from gateway.tests.upstreams import Echo, TokenService, serving
from gateway.tests.world import make_settings


class TestServing:
    """Under the chassis' server."""

    async def test_drains_with_every_answer_given(self, tmp_path: Path) -> None:
        """A request in flight is answered, a forged address believed nowhere on the way."""
        shop = Echo(hold=asyncio.Event())
        others = {name: Echo(name) for name in ("identity", "notify", "audit")}
        async with serving(token=TokenService(), shop=shop, **others) as urls:
            routes = routes_to(urls["shop"], tmp_path)
            text = routes.read_text().replace("read_timeout = 0.3", "read_timeout = 20")
            routes.write_text(text)
            running = Serving([build(make_settings(urls, routes_file=routes))])
            await running.start()
            request = asyncio.create_task(_ask(running.addresses["gateway"]))
            await eventually(lambda: shop.seen)
            stopping = asyncio.create_task(running.drain())
            assert shop.hold is not None
            shop.hold.set()
            status, dates = await request
            await stopping
        assert status == 200
        assert dates == 1
        assert shop.seen[0].values("x-forwarded-for") == ["127.0.0.1"]

    async def test_tells_the_route_file_that_does_not_hold(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Exit 78 with the reason, before anything listens."""
        routes = routes_to("ftp://nowhere", tmp_path)
        urls = dict.fromkeys(("identity", "token", "notify", "audit"), "http://127.0.0.1:1")
        with pytest.raises(SystemExit) as refusal:
            build(make_settings(urls, routes_file=routes))
        assert refusal.value.code == 78
        assert "is not an http(s) URL" in capsys.readouterr().err


async def _ask(address: tuple[str, int]) -> tuple[int, int]:
    """Return the status of one request and how many Date headers came with it."""
    async with (
        aiohttp.ClientSession() as client,
        client.get(
            "http://{}:{}/odd/x".format(*address), headers={"X-Forwarded-For": "6.6.6.6"}
        ) as response,
    ):
        return response.status, len(response.headers.getall("Date"))
