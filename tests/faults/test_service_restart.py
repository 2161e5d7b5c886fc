"""One of our services is killed and comes back: refused at once meanwhile, served at once after."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from chassis.testing import eventually
from tests.platforms.crowd import NO_LIMITS
from tests.platforms.five import FiveProcesses, Parts

POLICY = "/api/v1/auth/password-policy"
REQUESTS = 50

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory, parts: Parts) -> Iterator[FiveProcesses]:
    """Start five processes of their own, with limits out of the way."""
    running = FiveProcesses(tmp_path_factory.mktemp("restart"), parts, NO_LIMITS)
    running.start()
    yield running
    running.stop()


@pytest.fixture
async def client(platform: FiveProcesses) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of the gateway."""
    async with httpx.AsyncClient(base_url=platform.base_url, timeout=10) as asking:
        yield asking


async def test_identity_is_used_again_within_a_second(
    platform: FiveProcesses, client: httpx.AsyncClient
) -> None:
    """503 `service_unavailable` with Retry-After while it is away; then no request fails."""
    assert (await client.get(POLICY)).status_code == 200

    platform.processes["identity"].kill()
    away = await asyncio.gather(*(client.get(POLICY) for _ in range(REQUESTS)))

    assert {answer.json()["code"] for answer in away} == {"service_unavailable"}
    assert {answer.headers["retry-after"] for answer in away} == {"1"}
    assert await _is_out(platform) == 1

    platform.processes["identity"].start()
    await asyncio.to_thread(platform.wait_until_ready, "identity")

    async def served() -> bool:
        return (await client.get(POLICY)).is_success

    await eventually(served, within=1.0)
    back = await asyncio.gather(*(client.get(POLICY) for _ in range(REQUESTS)))
    assert {answer.status_code for answer in back} == {200}
    assert await _is_out(platform) == 0
    async with platform.person() as person:
        assert (await person.register()).status_code == 201


async def _is_out(platform: FiveProcesses) -> float:
    """Return what the gateway's metric says of identity."""
    async with httpx.AsyncClient() as asking:
        text = (await asking.get(f"{platform.ops_url('gateway')}/metrics")).text
    name = "gatehouse_gateway_upstream_address_out{address="
    (value,) = [
        line.rpartition(" ")[2]
        for line in text.splitlines()
        if line.startswith(name) and 'upstream="identity"' in line
    ]
    return float(value)
