"""Redis is away: what a client revokes is refused all the same (F-06)."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from chassis.testing import eventually
from tests.platforms.five import FiveProcesses, Parts

NOWHERE = "redis://127.0.0.1:1/0"

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory, parts: Parts) -> Iterator[FiveProcesses]:
    """Start five processes none of which reaches Redis."""
    without = replace(parts, redis_url=NOWHERE)
    running = FiveProcesses(tmp_path_factory.mktemp("without-redis"), without)
    running.start()
    yield running
    running.stop()


async def test_a_revoked_token_is_refused_by_poll_and_event(platform: FiveProcesses) -> None:
    """Introspection knows at once, the gateway within its bound; the session goes on."""
    client = platform.oauth_client
    async with platform.person() as person:
        await person.join()
        revoked = person.access_token
        assert (await person.me(revoked)).status_code == 200

        await client.revoke(platform.base_url, revoked)

        assert await client.introspect(platform.base_url, revoked) == {"active": False}

        async def is_refused() -> bool:
            return "token_revoked" in (await person.me(revoked)).text

        await eventually(is_refused)
        assert (await person.refresh()).status_code == 200
        assert (await person.me()).status_code == 200
