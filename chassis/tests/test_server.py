"""Serving: several deployables in one loop, drained without losing a request (D22)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chassis.app import Deployable
from chassis.health import Health
from chassis.metrics import Metrics
from chassis.server import Serving
from chassis.settings import ProcessSettings
from chassis.testing import eventually


class Example:
    """A deployable whose one route waits until the test lets it answer."""

    def __init__(self, name: str, journal: list[str], *, fails: bool = False) -> None:
        self.arrived = asyncio.Event()
        self.release = asyncio.Event()
        self._name = name
        self._journal = journal
        self._fails = fails

    async def _answer(self, _request: Request) -> Response:
        self.arrived.set()
        await self.release.wait()
        self._journal.append(f"{self._name} answered")
        return Response("done")

    @asynccontextmanager
    async def _lifespan(self) -> AsyncIterator[None]:
        if self._fails:
            raise ConnectionError
        self._journal.append(f"{self._name} opened")
        yield
        self._journal.append(f"{self._name} closed")

    def deployable(self) -> Deployable:
        """Return it, on free ports."""
        return Deployable(
            name=self._name,
            settings=ProcessSettings(port=0, ops_port=0),
            http=Starlette(routes=[Route("/", self._answer)]),
            lifespan=self._lifespan,
            health=Health(),
            metrics=Metrics(),
        )


async def test_a_request_in_flight_is_answered_before_anything_closes() -> None:
    """The last deployable stops first, then what it may have needed."""
    journal: list[str] = []
    service, gateway = Example("service", journal), Example("gateway", journal)
    serving = Serving([service.deployable(), gateway.deployable()])
    await serving.start()
    host, port = serving.addresses["gateway"]
    async with httpx.AsyncClient() as client:
        answer = asyncio.create_task(client.get(f"http://{host}:{port}/"))
        await gateway.arrived.wait()
        draining = asyncio.create_task(serving.drain())
        gateway.release.set()
        assert (await answer).text == "done"
        await draining
    assert journal == [
        "service opened",
        "gateway opened",
        "gateway answered",
        "gateway closed",
        "service closed",
    ]


async def test_readiness_fails_while_draining() -> None:
    """Load balancers hear of the drain before connections are refused."""
    journal: list[str] = []
    example = Example("service", journal)
    deployable = example.deployable()
    serving = Serving([deployable])
    await serving.start()
    host, port = serving.addresses["service"]
    ops_host, ops_port = serving.ops_addresses["service"]
    async with httpx.AsyncClient() as client:
        pending = asyncio.create_task(client.get(f"http://{host}:{port}/"))
        await example.arrived.wait()
        draining = asyncio.create_task(serving.drain())
        await eventually(lambda: deployable.health.draining)
        ready = await client.get(f"http://{ops_host}:{ops_port}/health/ready")
        assert (ready.status_code, ready.json()["failing"]) == (503, ["draining"])
        example.release.set()
        await pending
        await draining


async def test_a_part_that_cannot_start_takes_the_others_down_again() -> None:
    """Nothing half open stays behind."""
    journal: list[str] = []
    good, bad = Example("good", journal), Example("bad", journal, fails=True)
    with pytest.raises(ConnectionError):
        await Serving([good.deployable(), bad.deployable()]).start()
    assert journal == ["good opened", "good closed"]
