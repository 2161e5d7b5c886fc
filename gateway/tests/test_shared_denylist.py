"""The deny list in Redis: a token that only Redis knows to be dead is refused."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from chassis.testing.servers import RedisServer
from contracts.denylist import denied_key
from gateway.tests.signing import Subject
from gateway.tests.world import World
from gateway.tests.world import world as start_world

pytestmark = pytest.mark.real

ME = "/api/v1/users/me"


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    """Give a client of an empty Redis."""
    async with Redis.from_url(redis_url) as connected:
        yield connected


@pytest.fixture
async def world(tmp_path: Path, redis_url: str) -> AsyncIterator[World]:
    """Give a gateway whose token service tells it of no revocation at all."""
    async with start_world(tmp_path, **settings(redis_url)) as running:
        yield running


def settings(redis_url: str) -> dict[str, Any]:
    """Return the settings of a gateway with few requests per user."""
    return {"redis_url": SecretStr(redis_url), "rate_limit_account": "5/minute"}


class TestDenied:
    """What the script answers besides limits."""

    @pytest.mark.parametrize(
        ("kind", "value", "code"),
        [("jti", 1, "token_revoked"), ("sid", 1, "token_revoked"), ("sub", 2, "token_stale")],
    )
    async def test_refuses_what_neither_poll_nor_events_told(
        self, world: World, client: Redis, kind: Any, value: int, code: str
    ) -> None:
        """401 with the code that memory would give; others pass."""
        ann, ben = Subject(), Subject()
        headers = world.bearer(ann, jti="j1")
        before = await world.ask("GET", ME, headers=headers)
        names: dict[str, str | UUID] = {"jti": "j1", "sid": ann.sid, "sub": ann.sub}
        await client.set(denied_key(kind, names[kind]), value)
        after = await world.ask("GET", ME, headers=headers)
        other = await world.ask("GET", ME, headers=world.bearer(ben))
        assert before.status == 200
        assert (after.status, after.document["code"]) == (401, code)
        assert other.status == 200

    @pytest.mark.parametrize(("kind", "value"), [("sid", 1), ("sub", 2)])
    async def test_a_flush_brings_nobody_back(
        self, world: World, client: Redis, kind: Any, value: int
    ) -> None:
        """What was refused once stays refused, before poll and events have told of it."""
        ann = Subject()
        headers = world.bearer(ann)
        names: dict[str, UUID] = {"sid": ann.sid, "sub": ann.sub}
        await client.set(denied_key(kind, names[kind]), value)
        refused = await world.ask("GET", ME, headers=headers)
        await client.flushall()
        after = await world.ask("GET", ME, headers=headers)
        assert refused.status == 401
        assert after.document["code"] == refused.document["code"]

    async def test_a_refreshed_token_of_a_changed_subject_passes(
        self, world: World, client: Redis
    ) -> None:
        """Only older versions are stale."""
        ann = Subject(ver=2)
        await client.set(denied_key("sub", ann.sub), 2)
        assert (await world.ask("GET", ME, headers=world.bearer(ann))).status == 200

    async def test_a_denied_token_costs_its_user_nothing(self, world: World, client: Redis) -> None:
        """Neither is the next session's allowance used up, nor is 429 said to a dead one."""
        lost = Subject()
        await client.set(denied_key("sid", lost.sid), 1)
        dead = [await world.ask("GET", ME, headers=world.bearer(lost)) for _ in range(8)]
        anew = Subject(sub=lost.sub)
        alive = [await world.ask("GET", ME, headers=world.bearer(anew)) for _ in range(6)]
        assert {answer.status for answer in dead} == {401}
        assert [answer.status for answer in alive] == [200] * 5 + [429]

    async def test_logging_out_twice_is_no_error(self, world: World, client: Redis) -> None:
        """Where a token is optional, a dead one still says whose session it was."""
        ann = Subject()
        await client.set(denied_key("sid", ann.sid), 1)
        answer = await world.ask("POST", "/api/v1/auth/logout", headers=world.bearer(ann))
        assert answer.status == 200

    async def test_without_redis_the_memory_decides(
        self, tmp_path: Path, redis: RedisServer, redis_url: str
    ) -> None:
        """A token that nothing is known of passes, without an error."""
        async with start_world(tmp_path, **settings(redis_url)) as world:
            redis.kill()
            try:
                answer = await world.ask("GET", ME, headers=world.bearer(Subject()))
            finally:
                redis.restart()
        assert answer.status == 200
