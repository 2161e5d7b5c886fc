"""What a session keeps through rotations, repeats, restarts and many requests."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any

import httpx
import jwt
import pytest

from chassis.jwt import AccessToken
from chassis.testing import FixedClock
from chassis.testing.fixtures import MakeDatabase
from chassis.testing.servers import PostgresServer
from contracts.denials import REPORT_HEADER
from services.token.tests.kit import MIGRATIONS, Client, World, run_world

MINUTE = timedelta(minutes=1)
SESSIONS = "/api/v1/sessions"


@pytest.fixture
def postgres_server(postgres: PostgresServer) -> PostgresServer:
    """Run on one PostgreSQL: its versions are met in the tests of each use case."""
    return postgres


async def history(world: World, rounds: int, every: timedelta) -> list[AccessToken]:
    """Log in, refresh so many times, each time twice; return every access token."""
    world.identity.register()
    answer: dict[str, Any] = await world.client.login()
    tokens = [await world.verify(answer["access_token"])]
    for _ in range(rounds):
        world.clock.advance(every)
        presented = answer["refresh_token"]
        for _ in range(2):
            answer = (await world.client.refresh(presented)).json()
            tokens.append(await world.verify(answer["access_token"]))
    return tokens


class TestTimes:
    """What time does to a session, and what it does not."""

    async def test_auth_time_never_advances(self, world: World) -> None:
        """Neither by a refresh nor by its repeat: only a login is one (RFC 9068 §2.2.1)."""
        start = world.clock.now()

        tokens = await history(world, 10, timedelta(hours=12))

        assert {token.auth_time for token in tokens} == {start}
        assert [token.iat for token in tokens] == sorted(token.iat for token in tokens)
        assert len({token.jti for token in tokens}) == len(tokens)

    async def test_no_rotation_and_no_repeat_moves_the_absolute_end(self, world: World) -> None:
        """Twice a day for thirty days: all work, and no answer promises more than is left."""
        world.identity.register()
        end = world.clock.now() + timedelta(days=30)
        answer: dict[str, Any] = await world.client.login()
        promised = [(world.clock.now(), answer)]
        for _ in range(2 * 30 - 1):
            world.clock.advance(timedelta(hours=12))
            presented = answer["refresh_token"]
            answer = (await world.client.refresh(presented)).json()
            repeated = (await world.client.refresh(presented)).json()
            promised += [(world.clock.now(), answer), (world.clock.now(), repeated)]
        world.clock.advance(timedelta(hours=12))

        refused = await world.client.refresh(answer["refresh_token"])

        for now, one in promised:
            assert now + timedelta(seconds=one["refresh_expires_in"]) <= end
            assert _exp(one) <= end.timestamp()
        assert promised[-1][1]["refresh_expires_in"] == 12 * 3600
        assert refused.status_code == 401

    async def test_a_repeat_tells_the_life_that_is_left(
        self, make_database: MakeDatabase, clock: FixedClock
    ) -> None:
        """Of the very token it repeats: less with each second that passes."""
        database = await make_database("token", MIGRATIONS)
        async with run_world(database, clock, refresh_grace_seconds=60) as world:
            world.identity.register()
            presented = (await world.client.login())["refresh_token"]
            lives = []
            for _ in range(4):
                lives.append((await world.client.refresh(presented)).json()["refresh_expires_in"])
                clock.advance(timedelta(seconds=20))

        assert lives == [7 * 86400 - after for after in (0, 20, 40, 60)]


class TestRestarts:
    """What is in the database survives the process."""

    async def test_an_answer_lost_in_a_crash_is_repeated_after_the_restart(
        self, make_database: MakeDatabase, clock: FixedClock
    ) -> None:
        """Committed, never delivered, and another process has taken over."""
        database = await make_database("token", MIGRATIONS)
        async with run_world(database, clock) as before:
            account = before.identity.register()
            presented = (await before.client.login())["refresh_token"]
            lost = (await before.client.refresh(presented)).json()["refresh_token"]
        async with run_world(database, clock) as after:
            after.identity.accounts["ada"] = account

            again = (await after.client.refresh(presented)).json()["refresh_token"]
            next_one = await after.client.refresh(again)

        assert again == lost
        assert next_one.status_code == 200

    async def test_a_client_that_leaves_before_the_answer_loses_nothing(
        self, make_database: MakeDatabase, clock: FixedClock
    ) -> None:
        """Whether the rotation was committed or not: the same token gives a good one."""
        database = await make_database("token", MIGRATIONS)
        async with run_world(database, clock) as world:
            world.identity.register()
            token = (await world.client.login())["refresh_token"]
            for patience in (0.0, 0.001, 0.002, 0.004, 0.008, 0.016):
                token = await self._left(world, token, patience)

    async def _left(self, world: World, token: str, patience: float) -> str:
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await world.client.refresh(token)
        answer = await world.client.refresh(token)
        assert answer.status_code == 200
        return str(answer.json()["refresh_token"])


class TestActivity:
    """Being used costs no write: only a refresh moves `last_used_at`, once."""

    async def test_requests_with_an_access_token_write_nothing(self, world: World) -> None:
        """However many: the row is the very same version of it."""
        world.identity.register()
        principal = await world.principal(await world.client.login())
        version = "SELECT xmin::text, last_used_at FROM sessions"
        before = await world.rows(version)

        for _ in range(20):
            world.clock.advance(MINUTE / 2)
            answer = await world.client.send("GET", SESSIONS, principal=principal)
            assert answer.status_code == 200

        assert await world.rows(version) == before

    async def test_a_repeat_writes_nothing_either(self, world: World) -> None:
        """Fifty clients that lost one answer cost one rotation's writes."""
        world.identity.register()
        tokens = await world.client.login()
        await world.client.refresh(tokens["refresh_token"])
        versions = (
            "SELECT xmin::text FROM sessions UNION ALL SELECT xmin::text FROM refresh_tokens"
            " UNION ALL SELECT count(*)::text FROM outbox"
        )
        before = await world.rows(versions)

        for _ in range(10):
            assert (await world.client.refresh(tokens["refresh_token"])).status_code == 200

        assert await world.rows(versions) == before


class TestBadInput:
    """Each bad attempt gets one answer, and no more than one event."""

    @pytest.mark.parametrize("kind", ["ended", "expired", "unknown", "garbage", "10 kB", "access"])
    async def test_one_answer_and_at_most_one_event(self, world: World, kind: str) -> None:
        """What once was good is told once per attempt; what never was is not told at all."""
        world.identity.register()
        tokens = await world.client.login()
        text = {
            "ended": tokens["refresh_token"],
            "expired": tokens["refresh_token"],
            "unknown": "gh_rt_" + "A" * 43,
            "garbage": "garbage",
            "10 kB": "x" * 10_000,
            "access": tokens["access_token"],
        }[kind]
        if kind == "ended":
            await world.client.logout(refresh_token=text)
        if kind == "expired":
            world.clock.advance(timedelta(days=8))
        reference = await world.client.refresh("reference")
        before = await world.count("outbox")

        answer = await world.client.refresh(text)

        told = await world.count("outbox") - before
        assert _seen(answer) == _seen(reference)
        assert told == (1 if kind in ("ended", "expired") else 0)

    async def test_foreign_session_ids_are_not_found_and_not_touched(self, world: World) -> None:
        """404 for each, nothing ended, no event."""
        world.identity.register()
        world.identity.register("bob")
        mine = await world.principal(await world.client.login())
        other = await Client(world).login("bob")
        before = await world.count("outbox")

        answers = [
            await world.client.send("DELETE", f"{SESSIONS}/{other['session_id']}", principal=mine)
            for _ in range(5)
        ]

        assert {answer.status_code for answer in answers} == {404}
        assert await world.count("outbox") == before
        assert (await world.client.refresh(other["refresh_token"])).status_code == 200


def _exp(answer: dict[str, Any]) -> float:
    claims = jwt.decode(answer["access_token"], options={"verify_signature": False})
    return float(claims["exp"])


def _seen(answer: httpx.Response) -> tuple[object, ...]:
    document = {name: value for name, value in answer.json().items() if name != "request_id"}
    headers = sorted(set(answer.headers) - {REPORT_HEADER})  # for the gateway alone
    return answer.status_code, document, headers
