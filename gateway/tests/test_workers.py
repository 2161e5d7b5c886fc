"""Several gateway processes on one port: real ones, with everything that can happen to them."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest

from chassis.bus import Message, Outcome
from chassis.clock import SystemClock
from chassis.processes import Child, free_port
from chassis.rabbitmq import RabbitMQBus
from chassis.testing import eventually
from contracts.envelope import EVENTS_EXCHANGE, CloudEvent
from contracts.token import SessionEnded
from gateway.tests.processes import Processes, is_alive, processes
from gateway.tests.signing import Subject
from gateway.tests.world import PRODUCT_ROUTES

pytestmark = pytest.mark.slow

SHOP = "/shop/items"
BOTH = {"0", "1"}
PROTECTED = """
[[route]]
path = "/x"
methods = ["GET"]
hosts = ["reports.example.com"]
upstream = "forward-auth"
access = "public"
"""


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Processes]:
    """Give a gateway of two workers, ready."""
    async with processes(tmp_path, GATEWAY_WORKERS="2", RATE_LIMIT_ACCOUNT="8/hour") as running:
        yield running


async def statuses(gateway: Processes, count: int, target: str, subject: Subject) -> Counter[int]:
    """Send *count* requests at once, each on a connection of its own."""
    headers = gateway.bearer(subject)
    answers = await asyncio.gather(*(gateway.ask(target, headers=headers) for _ in range(count)))
    return Counter(answer.status for answer in answers)


async def serve_both(gateway: Processes) -> bool:
    """Say whether each worker has answered a request since its start."""
    await statuses(gateway, 16, SHOP, Subject())
    return (await gateway.samples("gatehouse_http_requests_total")).keys() == BOTH


def died(child: Child) -> bool:
    """Say whether a process has ended."""
    return not child.alive


class TestOperators:
    """What the one ops port says."""

    async def test_hear_of_every_worker(self, gateway: Processes) -> None:
        """Metrics with the worker they are of; an age is not summed, a count not lost."""
        await eventually(lambda: serve_both(gateway), within=30)
        assert await gateway.samples("gatehouse_gateway_workers") == {"": 2}
        ages = await gateway.samples("gatehouse_gateway_revocations_staleness_seconds")
        assert ages.keys() == BOTH
        asked = len(gateway.shop.seen)
        counts = await gateway.samples("gatehouse_http_requests_total", status="200")
        assert sum(counts.values()) == asked

    async def test_hear_of_a_worker_that_is_not_ready(self, tmp_path: Path) -> None:
        """Without keys none is: which is missing what stands there, and the parent is live."""
        async with processes(tmp_path, wait_ready=False, GATEWAY_WORKERS="2") as gateway:
            gateway.token.away = True

            async def told() -> bool:
                answer = await gateway.ask("/health/ready", port=gateway.ops_port)
                missing = ["worker 0: keys", "worker 1: keys"]
                return answer.status == 503 and all(
                    name in answer.document["failing"] for name in missing
                )

            await eventually(lambda: gateway.port_open(gateway.ops_port), within=30)
            await eventually(told, within=60)
            live = await gateway.ask("/health/live", port=gateway.ops_port)
            assert live.status == 200
            gateway.token.away = False
            await eventually(gateway.ready, within=30)

    async def test_hear_of_one_that_stands_still(self, gateway: Processes) -> None:
        """Not live, as one process would not be; live again when it goes on."""
        pid = gateway.pids()["1"]
        os.kill(pid, signal.SIGSTOP)
        try:
            live = await gateway.ask("/health/live", port=gateway.ops_port)
        finally:
            os.kill(pid, signal.SIGCONT)
        assert (live.status, live.document["failing"]) == (503, ["1"])
        await eventually(gateway.ready, within=30)


class TestKilledWorker:
    """A worker that dies."""

    async def test_is_replaced_while_requests_go_on(self, gateway: Processes) -> None:
        """No connection is refused, and the parent says what happened."""
        await eventually(lambda: serve_both(gateway), within=30)
        pid = gateway.pids()["1"]
        os.kill(pid, signal.SIGKILL)
        await eventually(lambda: not is_alive(pid))
        assert await statuses(gateway, 50, SHOP, Subject()) == {200: 50}
        await eventually(lambda: gateway.pids()["1"] != pid, within=30)
        await eventually(gateway.ready, within=30)
        assert await gateway.samples("gatehouse_gateway_worker_ends_total") == {"1": 1}
        assert '"exit_code": -9' in gateway.child.output()
        await eventually(lambda: serve_both(gateway), within=30)


class TestKnowledge:
    """What all workers have to know."""

    async def test_a_revocation_reaches_every_worker(self, gateway: Processes) -> None:
        """Each polls for itself; once each has the entry nobody lets the session in."""
        ann = Subject()
        await eventually(lambda: serve_both(gateway), within=30)
        assert await statuses(gateway, 16, SHOP, ann) == {200: 16}
        gateway.token.revoke("sid", str(ann.sid), SystemClock().now() + timedelta(minutes=20))

        async def known() -> bool:
            entries = await gateway.samples("gatehouse_gateway_denylist_entries")
            return entries == {"0": 1, "1": 1}

        await eventually(known, within=5)
        assert await statuses(gateway, 50, SHOP, ann) == {401: 50}
        assert await statuses(gateway, 8, SHOP, Subject()) == {200: 8}

    async def test_a_reload_reaches_every_worker(self, gateway: Processes) -> None:
        """One SIGHUP at the parent; the path that is gone is gone everywhere."""
        text = gateway.routes.read_text()
        gateway.routes.write_text(text.replace("/shop/{rest...}", "/store/{rest...}"))
        gateway.child.send(signal.SIGHUP)

        async def done() -> bool:
            reloads = await gateway.samples("gatehouse_gateway_reloads_total", outcome="done")
            return reloads == {"0": 1, "1": 1}

        await eventually(done)
        assert await statuses(gateway, 30, SHOP, Subject()) == {404: 30}
        assert await statuses(gateway, 30, "/store/items", Subject()) == {200: 30}

    async def test_limits_in_memory_are_divided(self, gateway: Processes) -> None:
        """Together they allow what is configured, however requests fall on them."""
        await eventually(lambda: serve_both(gateway), within=30)
        allowed = (await statuses(gateway, 40, "/api/v1/users/me", Subject()))[200]
        assert 4 <= allowed <= 8


@pytest.mark.real
class TestShared:
    """What workers meet outside: the broker."""

    async def test_events_reach_every_worker(self, tmp_path: Path, rabbitmq_url: str) -> None:
        """Each has a queue of its own, or they would share the events out among them."""
        async with processes(
            tmp_path,
            GATEWAY_WORKERS="2",
            RABBITMQ_URL=rabbitmq_url,
        ) as gateway:
            ended = SessionEnded(
                user_id=uuid4(),
                session_id=uuid4(),
                reason="logout",
                revoked_until=SystemClock().now() + timedelta(minutes=20),
            )
            await tell(rabbitmq_url, ended)

            async def heard() -> bool:
                events = await gateway.samples("gatehouse_gateway_events_total", type=ended.type)
                return events == {"0": 1, "1": 1}

            await eventually(heard)


async def tell(rabbitmq_url: str, ended: SessionEnded) -> None:
    """Publish that a session has ended, as token does."""
    event = CloudEvent(
        id=uuid4(),
        source="token",
        type=ended.type,
        time=SystemClock().now(),
        data=ended.model_dump(mode="json"),
    )
    bus = RabbitMQBus(rabbitmq_url, name="test")
    body = event.to_json()
    message = Message(id=event.id, exchange=EVENTS_EXCHANGE, routing_key=event.type, body=body)
    assert await bus.publish([message]) == [Outcome.CONFIRMED]
    await bus.close()


class TestForwardAuth:
    """The door for other proxies."""

    async def test_is_answered_by_every_worker(self, tmp_path: Path) -> None:
        """It is inherited like the public one."""
        port = free_port()
        routes = PRODUCT_ROUTES + PROTECTED
        async with processes(
            tmp_path,
            routes=routes,
            GATEWAY_WORKERS="2",
            FORWARD_AUTH_PORT=str(port),
            TRUSTED_PROXIES="127.0.0.1",
        ) as gateway:
            told = {"Host": "reports.example.com", "X-Forwarded-For": "203.0.113.7"}

            async def answered() -> bool:
                answers = await asyncio.gather(
                    *(gateway.ask("/forward-auth/x", port=port, headers=told) for _ in range(16))
                )
                assert {answer.status for answer in answers} == {200}
                route = {"route": "reports.example.com/x"}
                return (
                    await gateway.samples("gatehouse_http_requests_total", **route)
                ).keys() == BOTH

            await eventually(answered, within=30)


class TestEnd:
    """How it ends."""

    async def test_drains_every_worker(self, gateway: Processes) -> None:
        """SIGTERM: requests in flight are answered, exit code 0, nobody stays behind."""
        gateway.shop.hold = asyncio.Event()
        pids = gateway.pids().values()
        asking = [asyncio.create_task(gateway.ask("/open/x")) for _ in range(8)]
        await eventually(lambda: len(gateway.shop.seen) == 8)
        gateway.child.send(signal.SIGTERM)
        await eventually(lambda: gateway.child.output().count("process.draining") == 3)
        gateway.shop.hold.set()
        answers = await asyncio.gather(*asking)
        assert [answer.status for answer in answers] == [200] * 8
        await eventually(lambda: died(gateway.child), within=20)
        assert gateway.child.exit_code == 0
        assert not any(map(is_alive, pids))
        with pytest.raises(aiohttp.ClientConnectorError):
            await gateway.ask("/open/x")

    async def test_workers_follow_a_killed_parent(self, gateway: Processes) -> None:
        """They read the end of the channel, whatever the parent died of."""
        pids = list(gateway.pids().values())
        assert len(pids) == 2
        gateway.child.kill()
        await eventually(lambda: not any(map(is_alive, pids)), within=20)

    async def test_tells_a_bad_route_file_once(self, tmp_path: Path) -> None:
        """Exit code 78, before a second worker is started."""
        routes = PRODUCT_ROUTES.replace('access = "optional"', 'access = "maybe"')
        async with processes(
            tmp_path, wait_ready=False, routes=routes, GATEWAY_WORKERS="2"
        ) as gateway:
            await eventually(lambda: died(gateway.child), within=30)
            assert gateway.child.exit_code == 78
            assert gateway.child.output().count("route /maybe/{rest...}: access") == 1
            assert gateway.pids().keys() == {"0"}


class TestOne:
    """A single worker."""

    async def test_has_no_parent(self, tmp_path: Path) -> None:
        """As it always was: one process, and its metrics name no worker."""
        async with processes(tmp_path) as gateway:
            assert (await gateway.ask("/open/x")).status == 200
            counts = await gateway.samples("gatehouse_http_requests_total")
            assert counts.keys() == {""}
            assert not gateway.pids()
