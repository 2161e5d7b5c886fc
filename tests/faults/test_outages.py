"""A part is away while people go on: no call fails, and later nothing is lost or doubled.

The rows F-01, F-13 and F-18 of the faults this platform must survive.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest

from chassis.testing import eventually
from chassis.testing.servers import RabbitMQServer
from tests.platforms.crowd import IN_FLIGHT, NO_LIMITS, Crowd, each_once, mails, recorded
from tests.platforms.five import FiveProcesses, Parts
from tests.platforms.person import Person

BROKER_AWAY_SECONDS = 30.0
REGULARS = 50
NEWCOMERS = 200
LOGINS = 200

REGISTERED = "identity.user.registered.v1"
LOGGED_IN = "identity.login.succeeded.v1"
STARTED = "token.session.started.v1"

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory, parts: Parts) -> Iterator[FiveProcesses]:
    """Start five processes of their own, with limits out of the way."""
    running = FiveProcesses(tmp_path_factory.mktemp("outages"), parts, NO_LIMITS)
    running.start()
    yield running
    running.stop()


@pytest.fixture
async def crowd(platform: FiveProcesses) -> AsyncIterator[Crowd]:
    """Give a crowd of whom nobody has come yet."""
    async with Crowd(platform) as people:
        yield people


@pytest.fixture
async def admin(platform: FiveProcesses) -> AsyncIterator[Person]:
    """Give the bootstrap administrator, logged in."""
    async with platform.admin() as administrator:
        yield administrator


@pytest.fixture
async def regulars(crowd: Crowd) -> list[Person]:
    """Give people who have logged in before."""
    people = crowd.bring(REGULARS)
    for step in (crowd.register, crowd.verify, crowd.log_in):
        await step(people)
    return people


class Load:
    """Newcomers register and regulars log in, until all have and *seconds* are over."""

    def __init__(
        self, crowd: Crowd, newcomers: list[Person], regulars: list[Person], *, seconds: float
    ) -> None:
        self.logins = 0
        self._crowd = crowd
        self._newcomers = iter(newcomers)
        self._regulars = itertools.cycle(regulars)
        self._until = time.monotonic() + seconds

    async def drive(self) -> None:
        """Drive it; every call must work."""
        await asyncio.gather(*(self._work() for _ in range(IN_FLIGHT)))

    async def _work(self) -> None:
        for person in self._newcomers:
            await self._crowd.call(person.register)
            await self._log_in()
        while time.monotonic() < self._until or self.logins < LOGINS:
            await self._log_in()

    async def _log_in(self) -> None:
        self.logins += 1
        await self._crowd.call(next(self._regulars).login)


async def _come_last(crowd: Crowd, admin: Person) -> None:
    """Have somebody come after all others and wait for the traces: the others' come before."""
    last = crowd.bring(1)
    for step in (crowd.register, crowd.verify, crowd.log_in):
        await step(last)
    await eventually(partial(recorded, admin, last[0], REGISTERED, LOGGED_IN, STARTED), within=120)


async def _all_mailed(platform: FiveProcesses, people: list[Person]) -> bool:
    assert await mails(platform, people) == {1: len(people)}
    return True


class TestRabbitMQ:
    """Killed like a crash, away for half a minute, started again."""

    async def test_nobody_notices_and_everything_comes_once(
        self,
        platform: FiveProcesses,
        rabbitmq: RabbitMQServer,
        crowd: Crowd,
        admin: Person,
        regulars: list[Person],
    ) -> None:
        """200 register and more log in meanwhile; then one mail and one row for each of it."""
        newcomers = crowd.bring(NEWCOMERS)
        await asyncio.to_thread(rabbitmq.settle)
        await asyncio.to_thread(rabbitmq.kill)
        load = Load(crowd, newcomers, regulars, seconds=BROKER_AWAY_SECONDS)
        await load.drive()
        assert await mails(platform, newcomers) == {0: NEWCOMERS}

        # In this thread: the server dies with the thread that started it.
        rabbitmq.restart()
        await eventually(partial(_all_mailed, platform, newcomers), within=90)
        await crowd.verify(newcomers)
        await _come_last(crowd, admin)

        assert await mails(platform, newcomers) == {1: NEWCOMERS}
        await eventually(partial(each_once, admin, REGISTERED, newcomers), within=60)
        times = REGULARS + load.logins
        await eventually(partial(each_once, admin, LOGGED_IN, regulars, times=times), within=60)
        await eventually(partial(each_once, admin, STARTED, regulars, times=times), within=60)


class TestAudit:
    """Killed, and started again later."""

    async def test_every_event_waits_for_it(
        self, platform: FiveProcesses, crowd: Crowd, admin: Person, regulars: list[Person]
    ) -> None:
        """Its queue keeps what happened meanwhile, each once."""
        newcomers = crowd.bring(NEWCOMERS)
        platform.processes["audit"].kill()
        load = Load(crowd, newcomers, regulars, seconds=0)
        await load.drive()
        await crowd.verify(newcomers)

        platform.processes["audit"].start()
        await asyncio.to_thread(platform.wait_until_ready, "audit")
        await _come_last(crowd, admin)

        await eventually(partial(each_once, admin, REGISTERED, newcomers), within=60)
        times = REGULARS + load.logins
        await eventually(partial(each_once, admin, LOGGED_IN, regulars, times=times), within=60)


class TestMailServer:
    """Away, and back later."""

    async def test_every_mail_waits_for_it(self, platform: FiveProcesses, crowd: Crowd) -> None:
        """Nobody who registers notices; each gets one mail, whose link works."""
        newcomers = crowd.bring(REGULARS)
        platform.sink.stop()
        await crowd.register(newcomers)
        assert await mails(platform, newcomers) == {0: REGULARS}

        platform.sink.start()
        await eventually(partial(_all_mailed, platform, newcomers), within=90)
        await crowd.verify(newcomers)
        assert await mails(platform, newcomers) == {1: REGULARS}
