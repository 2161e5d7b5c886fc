"""kill -9 amid registrations: whoever was told 201 exists, is mailed once and logged once."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from chassis.testing import eventually
from tests.platforms.person import Person
from tests.platforms.single import SingleProcess

REGISTRATIONS = 100
KILL_AFTER = 40
IN_FLIGHT = 8

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[SingleProcess]:
    """Start the one-process shape with limits out of the way."""
    limits = ("REGISTER", "LOGIN", "PER_IP", "PER_USER")
    settings = {f"RATE_LIMIT_{name}": "100000/minute" for name in limits}
    running = SingleProcess(tmp_path, settings)
    running.start()
    yield running
    running.stop()


def _kill_main(platform: SingleProcess) -> None:
    os.kill(int((platform.data_dir / "pid").read_text()), signal.SIGKILL)
    platform.process.kill()


def _kill_everything(platform: SingleProcess) -> None:
    main = int((platform.data_dir / "pid").read_text())
    for pid in (*_descendants(main), main):
        os.kill(pid, signal.SIGKILL)
    platform.process.kill()


@pytest.mark.parametrize("kill", [_kill_main, _kill_everything])
async def test_nothing_acknowledged_is_lost_or_doubled(
    platform: SingleProcess, kill: Callable[[SingleProcess], None]
) -> None:
    """Every acknowledged user exists, with exactly one verification mail and one audit row."""
    acknowledged = await _register_until_killed(platform, kill)
    assert len(acknowledged) >= KILL_AFTER
    await asyncio.to_thread(platform.start)
    async with platform.admin() as admin:
        for person in acknowledged:
            await eventually(partial(_is_whole, platform, admin, person), within=30)
    assert {await _mail_count(platform, person) for person in acknowledged} == {1}


async def _register_until_killed(
    platform: SingleProcess, kill: Callable[[SingleProcess], None]
) -> list[Person]:
    people = [platform.person() for _ in range(REGISTRATIONS)]
    waiting = iter(people)
    acknowledged: list[Person] = []
    killed = asyncio.Event()

    async def work() -> None:
        for person in waiting:
            try:
                async with person:
                    response = await person.register()
            except httpx.HTTPError:
                return
            assert response.status_code == 201, response.text
            acknowledged.append(person)
            if len(acknowledged) == KILL_AFTER:
                killed.set()

    workers = [asyncio.create_task(work()) for _ in range(IN_FLIGHT)]
    await killed.wait()
    await asyncio.to_thread(kill, platform)
    await asyncio.gather(*workers)
    return acknowledged


async def _is_whole(platform: SingleProcess, admin: Person, person: Person) -> bool:
    assert await _mail_count(platform, person) == 1
    response = await admin.call(
        "GET",
        f"/api/v1/admin/audit?target={person.user_id}&type=identity.user.registered.v1",
        token=admin.access_token,
    )
    assert len(response.json()["items"]) == 1, response.text
    return True


async def _mail_count(platform: SingleProcess, person: Person) -> int:
    return len(await platform.mailbox.mails(person.email))


def _descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended since
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        waiting += (below := children.get(waiting.pop(), []))
        found += below
    return found
