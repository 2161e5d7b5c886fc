"""A reset with RabbitMQ stopped and identity killed right after its commit (D24, D25)."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from chassis.testing import eventually
from chassis.testing.servers import RabbitMQServer
from tests.platforms.five import FiveProcesses, Parts
from tests.platforms.mailbox import wait_for_mail
from tests.platforms.person import Person

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


@pytest.fixture
def platform(tmp_path: Path, parts: Parts) -> Iterator[FiveProcesses]:
    """Start five processes of their own."""
    running = FiveProcesses(tmp_path, parts)
    running.start()
    yield running
    running.stop()


async def _session_lives(person: Person, token: str) -> bool:
    return await _answered(person, token) == 200


async def test_the_old_session_dies_and_a_new_one_survives_the_late_event(
    platform: FiveProcesses, rabbitmq: RabbitMQServer
) -> None:
    """Identity's push is enough without RabbitMQ; the event that comes later harms nobody."""
    async with platform.person() as person:
        await person.join()
        before = person.access_token
        await person.ask_for_reset()
        await wait_for_mail(platform.mailbox, person.email, containing="reset-password")
        await asyncio.to_thread(rabbitmq.settle)
        await asyncio.to_thread(rabbitmq.kill)

        # Token is away, so that nothing of the reset can leave identity before identity is killed.
        platform.processes["token"].kill()
        assert (await person.reset()).status_code == 200
        platform.processes["identity"].kill()
        platform.processes["token"].start()
        await asyncio.to_thread(platform.wait_until_ready, "token", "gateway")
        assert await _session_lives(person, before)

        platform.processes["identity"].start()
        await eventually(lambda: _is_dead(person, before), within=20)
        assert (await person.refresh()).status_code == 401
        assert (await person.login()).status_code == 200
        after = person.access_token

        # In this thread: the server dies with the thread that started it.
        rabbitmq.restart()
        async with platform.admin() as admin:
            await eventually(lambda: _reset_is_recorded(admin, person), within=60)
        assert await _session_lives(person, after)
        assert (await person.refresh()).status_code == 200


async def _is_dead(person: Person, token: str) -> bool:
    return await _answered(person, token) == 401  # and not merely a service that is away


async def _answered(person: Person, token: str) -> int:
    response = await person.call("GET", "/api/v1/sessions", token=token)
    return int(response.status_code)


async def _reset_is_recorded(admin: Person, person: Person) -> bool:
    response = await admin.call(
        "GET",
        f"/api/v1/admin/audit?target={person.user_id}&type=identity.password.reset.v1",
        token=admin.access_token,
    )
    return len(response.json()["items"]) == 1
