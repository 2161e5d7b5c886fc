"""The embedded PostgreSQL dies under the running platform: 503 for a moment, then all is well."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from chassis.testing import eventually
from tests.platforms.person import Person
from tests.platforms.single import SingleProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[SingleProcess]:
    """Start the one-process shape."""
    running = SingleProcess(tmp_path)
    running.start()
    yield running
    running.stop()


async def _is_back(person: Person) -> bool:
    response = await person.me()
    if response.status_code == 503:
        assert int(response.headers["retry-after"]) > 0
    else:
        assert response.status_code == 200, response.text
    return response.status_code == 200


async def test_it_is_started_again(platform: SingleProcess) -> None:
    """Callers meet 503 with Retry-After or their answer, never anything else."""
    async with platform.person() as person:
        await person.join()
        postmaster = platform.data_dir / "postgres" / "postmaster.pid"
        dead = int(postmaster.read_text().split()[0])
        os.kill(dead, signal.SIGKILL)
        await eventually(lambda: _has_other_pid(postmaster, dead), within=30)
        await eventually(lambda: _is_back(person), within=30)
        assert (await person.refresh()).status_code == 200


def _has_other_pid(postmaster: Path, dead: int) -> bool:
    return postmaster.exists() and int((postmaster.read_text() or "0").split()[0]) != dead
