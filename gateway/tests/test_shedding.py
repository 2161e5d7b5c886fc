"""Load: who is refused while the event loop is late, and who is not."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from chassis.clock import SystemClock
from chassis.testing import eventually
from gateway.shedding.lag import EVERY, LoopLag
from gateway.tests.signing import Subject
from gateway.tests.world import World
from gateway.tests.world import world as start_world

OPEN, SHOP, MAYBE = "/open/x", "/shop/x", "/maybe/x"


class Late:
    """Time in which each sleep lasts as much longer as the test says."""

    def __init__(self) -> None:
        self.by: Iterator[float] = iter(())
        self._now = 0.0

    def now(self) -> float:
        """Return the seconds."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Let time pass, not really."""
        self._now += seconds + next(self.by)


class TestLag:
    """How the lag is measured."""

    async def test_is_the_median_of_the_last_five(self) -> None:
        """One long pause is nothing, the third late sample is something."""
        time = Late()
        lag = LoopLag(time.now, time.sleep)
        time.by = iter([9, 0, 0.3, 0.4, 0.5, 0, 0, 0])
        seen = []
        for _ in range(8):
            await lag.measure()
            seen.append(round(lag.seconds, 3))
        assert seen == [0, 0, 0, 0.3, 0.4, 0.3, 0.3, 0]

    async def test_of_a_loop_that_stands_still_is_as_long(self) -> None:
        """By the real clock and a real loop that is blocked."""
        loop = asyncio.get_running_loop()
        lag = LoopLag(loop.time)
        measuring = asyncio.create_task(lag.measure())
        end = loop.time() + EVERY + 0.2

        def block() -> None:
            while loop.time() < end:
                pass

        loop.call_soon(block)
        assert await measuring >= 0.15


class Load:
    """A gateway whose event loop is as late as the test says."""

    def __init__(self) -> None:
        self.world: World
        self._now = 0.0
        self._late: asyncio.Queue[float] = asyncio.Queue()
        self.lag = LoopLag(lambda: self._now, self._sleep)

    async def be_late(self, milliseconds: float) -> None:
        """Let all five samples be this, and wait until they were taken."""
        before = self.value("gatehouse_gateway_loop_lag_seconds_count") or 0
        for _ in range(5):
            self._late.put_nowait(milliseconds / 1000)
        await eventually(
            lambda: self.value("gatehouse_gateway_loop_lag_seconds_count") == before + 5
        )

    async def status(self, target: str, headers: dict[str, str] | None = None) -> int:
        """Return the status of a GET."""
        return (await self.world.ask("GET", target, headers=headers)).status

    def value(self, name: str, **labels: str) -> float | None:
        """Return a metric."""
        return self.world.gateway.metrics.registry.get_sample_value(name, labels)

    async def _sleep(self, seconds: float) -> None:
        self._now += seconds + await self._late.get()


@pytest.fixture
async def load(tmp_path: Path) -> AsyncIterator[Load]:
    """Give a gateway that refuses above 250 ms."""
    given = Load()
    async with start_world(tmp_path, lag=given.lag) as given.world:
        yield given


class TestAnonymous:
    """Above SHED_ABOVE_MS."""

    async def test_requests_to_open_routes_are_refused(self, load: Load) -> None:
        """503 with Retry-After; nothing reaches the upstream; health is another port's."""
        await load.be_late(249)
        assert await load.status(OPEN) == 200
        await load.be_late(250)
        answer = await load.world.ask("GET", OPEN)
        assert (answer.status, answer.document["code"]) == (503, "overloaded")
        assert answer.headers["Retry-After"] == "2"
        assert await load.status(MAYBE) == 503
        assert len(load.world.shop.seen) == 1
        assert load.value("gatehouse_gateway_shed_requests_total", **{"class": "anonymous"}) == 2
        assert load.value("gatehouse_gateway_shedding") == 1

    async def test_whoever_was_known_before_is_served(self, load: Load) -> None:
        """By header or cookie, on every kind of route; who is new on routes for users."""
        ann, ben = load.world.bearer(Subject()), load.world.bearer(Subject())
        assert await load.status(SHOP, ann) == 200
        cookie = {"Cookie": f"gatehouse-access={ann['Authorization'].removeprefix('Bearer ')}"}
        await load.be_late(400)
        assert [await load.status(path, ann) for path in (OPEN, SHOP, MAYBE)] == [200] * 3
        assert [await load.status(path, cookie) for path in (OPEN, SHOP, MAYBE)] == [200] * 3
        assert await load.status(OPEN, ben) == 503
        assert await load.status(SHOP, ben) == 200
        assert await load.status(OPEN, ben) == 200

    @pytest.mark.parametrize("text", ["Bearer garbage", "Bearer a.b.c", "Bearer ", "Basic eDp5"])
    async def test_garbage_buys_nothing(self, load: Load, text: str) -> None:
        """Neither does a cookie given twice."""
        await load.be_late(400)
        assert await load.status(OPEN, {"Authorization": text}) == 503
        assert await load.status(OPEN, {"Cookie": "gatehouse-access=a; gatehouse-access=b"}) == 503
        assert await load.status(SHOP, {"Authorization": "Bearer garbage"}) == 401

    async def test_an_ended_session_buys_nothing(self, load: Load) -> None:
        """Its token was verified once, and is denied now."""
        ann = Subject()
        headers = load.world.bearer(ann)
        assert await load.status(SHOP, headers) == 200
        until = SystemClock().now() + timedelta(minutes=20)
        load.world.token.revoke("sid", str(ann.sid), until)
        await eventually(lambda: load.value("gatehouse_gateway_denylist_entries") == 1)
        await load.be_late(400)
        assert await load.status(OPEN, headers) == 503

    async def test_what_is_nowhere_stays_nowhere(self, load: Load) -> None:
        """404 costs less than anything."""
        await load.be_late(400)
        assert await load.status("/nowhere") == 404


class TestEverybody:
    """Above twice as much."""

    async def test_is_refused(self, load: Load) -> None:
        """Also who was known, counted apart."""
        ann = load.world.bearer(Subject())
        assert await load.status(SHOP, ann) == 200
        await load.be_late(500)
        assert [await load.status(path, ann) for path in (OPEN, SHOP)] == [503] * 2
        assert await load.status(SHOP) == 503
        authenticated = {"class": "authenticated"}
        assert load.value("gatehouse_gateway_shed_requests_total", **authenticated) == 2
        assert not await load.world.gateway.health.failing()


class TestHysteresis:
    """The way back."""

    async def test_is_later_than_the_way_there(self, load: Load) -> None:
        """Each level is left at half of what it was entered at; each change is told once."""
        levels = []
        with capture_logs() as logs:
            for lag in (240, 260, 240, 130, 510, 490, 260, 250, 130, 125, 130, 900, 0):
                await load.be_late(lag)
                levels.append(load.value("gatehouse_gateway_shedding"))
        assert levels == [0, 1, 1, 1, 2, 2, 2, 1, 1, 0, 0, 2, 0]
        told = [entry for entry in logs if entry["event"].startswith("load.")]
        assert [(entry["event"], entry.get("refused")) for entry in told] == [
            ("load.shedding", "anonymous"),
            ("load.shedding", "everybody"),
            ("load.shedding", "anonymous"),
            ("load.shedding_ended", None),
            ("load.shedding", "everybody"),
            ("load.shedding_ended", None),
        ]

    async def test_can_be_switched_off(self, tmp_path: Path) -> None:
        """SHED_ABOVE_MS=0: measured all the same."""
        load = Load()
        async with start_world(tmp_path, lag=load.lag, shed_above_ms=0) as load.world:
            await load.be_late(5000)
            assert await load.status(OPEN) == 200
