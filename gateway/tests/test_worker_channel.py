"""What parent and workers say to one another, and how their metrics are joined."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import pytest
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    generate_latest,
)
from prometheus_client.registry import Collector

from chassis.app import Deployable
from chassis.testing import eventually
from chassis.testing.deployables import idle_deployable
from gateway.workers.channel import Channel, Unanswered, answering
from gateway.workers.exposition import Joined
from gateway.workers.worker import Inheritance


class TestChannel:
    """How parent and worker speak."""

    async def test_answers_what_is_asked_at_once(self) -> None:
        """Each question gets its own answer; one that nobody waits for is passed over."""
        deployable, alone = idle_deployable(), asyncio.Event()
        async with speaking(deployable, alone) as channel:
            health, text, live = await asyncio.gather(
                *(channel.ask(question, within=5) for question in ("health", "metrics", "live"))
            )
            assert health == b'["starting"]'
            assert b"gatehouse_http_requests_in_flight 0.0" in text
            assert live == b""
            with pytest.raises(Unanswered):
                await channel.ask("metrics", within=0)
            assert await channel.ask("health", within=5) == b'["starting"]'
        await eventually(alone.is_set)

    async def test_ends_with_the_worker(self) -> None:
        """Who waits for an answer learns of it, and so does who asks later."""
        ours, theirs = socket.socketpair()
        channel = Channel(*await asyncio.open_unix_connection(sock=ours))
        asking = asyncio.create_task(channel.ask("health", within=None))
        theirs.setblocking(False)
        assert await asyncio.get_running_loop().sock_recv(theirs, 100) == b"1 health\n"
        theirs.close()
        with pytest.raises(Unanswered):
            await asking
        with pytest.raises(Unanswered):
            await channel.ask("health", within=None)
        await channel.close()

    async def test_ends_a_worker_that_cannot_answer(self) -> None:
        """It would be served by nobody's eyes."""
        deployable, alone = idle_deployable(), asyncio.Event()
        async with speaking(deployable, alone) as channel:
            deployable.metrics.registry.register(Broken())
            with pytest.raises(Unanswered):
                await channel.ask("metrics", within=5)
            await eventually(alone.is_set)

    def test_descriptors_travel_on_the_command_line(self) -> None:
        """As they were written."""
        given = Inheritance(channel=7, doors={"http": 5})
        assert Inheritance.read(str(given)) == given


class Broken(Collector):
    """A collector that cannot collect."""

    def collect(self) -> Iterable[Metric]:
        """Raise."""
        raise ValueError

    def describe(self) -> Iterable[Metric]:
        """Name nothing."""
        return []


@asynccontextmanager
async def speaking(deployable: Deployable, alone: asyncio.Event) -> AsyncIterator[Channel]:
    """Give the parent's end of a channel, hung up when the block ends."""
    ours, theirs = socket.socketpair()
    async with answering(theirs, deployable, on_alone=alone.set):
        channel = Channel(*await asyncio.open_unix_connection(sock=ours))
        try:
            yield channel
        finally:
            await channel.close()
            await eventually(alone.is_set)


class TestJoined:
    """Metrics of several workers."""

    def test_every_sample_says_whose_it_is(self) -> None:
        """Every kind of metric, each described once, no value changed."""
        text = generate_latest(Joined({"0": text_of(1), "1": text_of(2)})).decode()
        for line in (
            'c_total{l="a\\"b\\n",worker="0"} 1.0',
            'c_total{l="a\\"b\\n",worker="1"} 2.0',
            'g{worker="1"} 2.0',
            'h_bucket{le="+Inf",worker="0"} 1.0',
            'h_sum{worker="1"} 2.0',
        ):
            assert line in text.splitlines()
        assert text.count("# TYPE h histogram") == text.count("# HELP g What.") == 1


def text_of(value: float) -> str:
    """Return the exposition of a worker."""
    registry = CollectorRegistry()
    Counter("c", "What.", ["l"], registry=registry).labels('a"b\n').inc(value)
    Gauge("g", "What.", registry=registry).set(value)
    Histogram("h", "What.", registry=registry).observe(value)
    return generate_latest(registry).decode()
