"""Everybody is logged out at once: /api/v1/admin/revoke-all."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import httpx
import pytest

from chassis.metrics import Metrics
from chassis.testing import FixedClock, eventually
from chassis.testing.fixtures import MakeDatabase
from contracts.identity import UserRolesChanged
from services.token.repository.epochs import MAX_KEPT
from services.token.service import global_ending
from services.token.service.global_ending import GlobalEnding
from services.token.tests.kit import MIGRATIONS, World, run_world
from services.token.tests.races import arena
from services.token.tests.test_key_administration import act, kids, revoked_kids

REVOKE_ALL = "/api/v1/admin/revoke-all"
REASON = {"reason": "the cookies of a support tool were stolen"}
BY_HAND = "INSERT INTO global_revocations VALUES (1, now(), 'by hand', 'operator')"
OF = "SELECT epoch FROM sessions WHERE user_id = :id"


@pytest.fixture(autouse=True)
def _only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the services end sessions when somebody asked for it, not because time has passed."""
    monkeypatch.setattr(global_ending, "_LOOK_EVERY", timedelta(hours=1))


async def revoke_all(world: World) -> dict[str, Any]:
    """Have an administrator log everybody out; return the answer."""
    answer = await act(world, "POST", REVOKE_ALL, REASON)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def is_accepted(world: World, tokens: Mapping[str, Any]) -> bool:
    """Say whether gateways accept an access token, as soon as they have read of everything."""
    kid = (await world.verify(tokens["access_token"])).kid
    denied = {entry["value"] for entry in await world.denied()}
    return kid not in await revoked_kids(world) and tokens["session_id"] not in denied


async def ended(world: World) -> bool:
    """End some, and say whether nothing is left to be ended, by the service beside us either."""
    await world.parts.global_ending.end_some()
    return not await world.rows(
        "SELECT id FROM sessions WHERE ended_at IS NULL"
        " AND epoch < (SELECT max(epoch) FROM global_revocations)"
    )


class TestRevokeAll:
    """What the administrator's request does before it is answered."""

    async def test_no_refresh_token_and_no_access_token_is_good_any_more(
        self, world: World
    ) -> None:
        """Those of the administrator included; logging in anew works at once."""
        world.identity.register()
        world.identity.register("admin", roles=("user", "admin"))
        tokens = [await world.client.login(name) for name in ("ada", "admin")]
        principal = await world.principal(tokens[1])
        (signed,) = await kids(world)

        answer = await world.client.send("POST", REVOKE_ALL, REASON, principal=principal)

        refreshed = [await world.client.refresh(each["refresh_token"]) for each in tokens]
        anew = await world.client.login()
        assert answer.status_code == 200
        assert answer.json()["revoked_keys"] == [signed]
        assert {each.status_code for each in refreshed} == {401}
        assert await revoked_kids(world) == [signed]
        assert signed not in await kids(world)
        assert await is_accepted(world, anew)
        assert (await world.client.refresh(anew["refresh_token"])).status_code == 200

    async def test_tokens_of_the_key_before_are_refused_too(
        self, world: World, clock: FixedClock
    ) -> None:
        """A retired key has signed tokens that still live; one that never signed takes over."""
        (first,) = await kids(world)
        for step in (timedelta(days=30), timedelta(minutes=10, seconds=10), timedelta(seconds=1)):
            clock.advance(step)
            await world.rotate()
        (_, second) = await kids(world)
        asked = (await act(world, "POST", "/api/v1/admin/keys/rotate")).json()

        answer = await revoke_all(world)

        assert set(answer["revoked_keys"]) == {first, second}
        assert await kids(world) == [asked["successor"]]

    async def test_is_told_with_its_reason_and_who_asked(self, world: World) -> None:
        """One event, and one for each key."""
        await revoke_all(world)

        (told,) = await world.events("token.sessions.revoked.v1")
        (key,) = await world.events("token.signing_key.revoked.v1")
        admin = str(world.identity.accounts["admin"].user_id)
        assert told["data"] == {
            "epoch": 1,
            "revoked_at": "2026-01-01T12:00:00Z",
            "reason": REASON["reason"],
        }
        assert (told["actor"], key["actor"], key["data"]["reason"]) == (
            admin,
            admin,
            REASON["reason"],
        )

    async def test_can_be_done_again_and_the_newest_fifty_are_remembered(
        self, world: World
    ) -> None:
        """The newest alone says which sessions live."""
        for _ in range(MAX_KEPT + 3):
            last = await world.client.login("admin") if world.identity.accounts.get("admin") else {}
            await revoke_all(world)

        assert await world.count("global_revocations") == MAX_KEPT
        assert (await world.client.refresh(last["refresh_token"])).status_code == 401
        anew = await world.client.login("admin")
        assert (await world.client.refresh(anew["refresh_token"])).status_code == 200


class TestWhoMay:
    """Administrators alone, for a reason."""

    @pytest.mark.parametrize("who", ["user", "moderator"])
    async def test_others_may_not(self, world: World, who: str) -> None:
        """403, and nothing happened."""
        answer = await act(world, "POST", REVOKE_ALL, REASON, who=who)

        assert (answer.status_code, answer.json()["code"]) == (403, "role_required")
        assert await world.count("global_revocations") == 0

    async def test_nor_strangers_nor_who_was_one_a_moment_ago(self, world: World) -> None:
        """401; and what token knows counts more than an old token."""
        boss = world.identity.register("admin", roles=("user", "admin"))
        principal = await world.principal(await world.client.login("admin"))
        await world.push(
            world.event(
                UserRolesChanged(user_id=boss.user_id, roles=("user",), previous_roles=()), 2
            )
        )

        demoted = await world.client.send("POST", REVOKE_ALL, REASON, principal=principal)
        stranger = await world.client.send("POST", REVOKE_ALL, REASON)

        assert (demoted.status_code, stranger.status_code) == (403, 401)
        assert await world.count("global_revocations") == 0

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"reason": ""},
            {"reason": "   "},
            {"reason": "x" * 501},
            {"reason": None},
            {"reason": ["x"]},
            {"reason": "a\u0000b"},
            {"reason": "x", "epoch": 7},
        ],
    )
    async def test_a_reason_is_needed_and_nothing_else_taken(
        self, world: World, body: dict[str, Any]
    ) -> None:
        """400 with the field."""
        answer = await act(world, "POST", REVOKE_ALL, body)

        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")
        assert await world.count("global_revocations") == 0


class TestEnding:
    """The sessions are ended one by one, beside the requests."""

    async def test_each_is_told_and_none_is_on_the_deny_list(
        self, make_database: MakeDatabase, clock: FixedClock
    ) -> None:
        """The list would grow by every session there was; their keys are revoked already."""
        database = await make_database("token", MIGRATIONS)
        async with run_world(database, clock, max_sessions_per_user=0) as world:
            world.identity.register()
            lost = {(await world.client.login())["session_id"] for _ in range(5)}
            await revoke_all(world)
            anew = await world.client.login()
            await eventually(lambda: ended(world))

            events = await world.events("token.session.ended.v1")
            told = {event["data"]["session_id"] for event in events}
            assert lost < told
            assert {event["data"]["reason"] for event in events} == {"revoke_all"}
            assert {event["data"]["revoked_until"] for event in events} == {"2026-01-01T12:00:00Z"}
            assert {event["actor"] for event in events} == {
                str(world.identity.accounts["admin"].user_id)
            }
            assert await world.denied() == []
            running = await world.rows("SELECT id FROM sessions WHERE ended_at IS NULL")
            assert [str(row.id) for row in running] == [anew["session_id"]]

    async def test_goes_in_batches_and_passes_over_what_is_in_use(
        self, make_database: MakeDatabase, clock: FixedClock
    ) -> None:
        """A session that somebody has locked is waited for by nobody."""
        async with run_world(await make_database("token", MIGRATIONS), clock) as world:
            await _five_logins(world)
            await world.as_owner(BY_HAND)
            ending = _ending(world, batch=2)

            async with world.database.transaction() as tx:
                await tx.fetch_row("SELECT 1 FROM sessions LIMIT 1 FOR UPDATE")
                batches = [await ending.end_some() for _ in range(3)]
            rest = [await ending.end_some() for _ in range(2)]

        assert (batches, rest) == ([2, 2, 0], [1, 0])

    async def test_by_two_replicas_each_session_is_told_once(
        self, make_database: MakeDatabase, clock: FixedClock
    ) -> None:
        """They share the work."""
        async with arena(await make_database("token", MIGRATIONS), clock) as standing:
            one, other = standing.replicas
            await _five_logins(one)
            await one.as_owner(BY_HAND)
            both = [_ending(world, batch=1) for world in (one, other)]

            counts = [await asyncio.gather(*(each.end_some() for each in both)) for _ in range(6)]

            events = await one.events("token.session.ended.v1")
            told = {event["data"]["session_id"] for event in events}
            assert sum(map(sum, counts)) == len(events) == len(told) == 5


class TestInFlight:
    """What it overtakes does not survive it."""

    async def test_a_login_whose_password_was_right_before(
        self, make_database: MakeDatabase, clock: FixedClock
    ) -> None:
        """It is told to try again, and leaves no session."""
        async with arena(await make_database("token", MIGRATIONS), clock) as standing:
            one, other = standing.replicas
            one.identity.register()
            one.identity.gate.clear()
            in_flight = asyncio.create_task(_try_login(one))
            await one.identity.asked.wait()
            await revoke_all(other)
            await one.rotate()
            one.identity.gate.set()

            answer, again = await in_flight, await _try_login(one)

            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert answer.json()["code"] == "signing_key_missing"
            assert again.status_code == 200
            (session,) = await one.rows(OF, id=one.identity.accounts["ada"].user_id)
            assert session.epoch == 1


async def _try_login(world: World) -> httpx.Response:
    credentials = {"username": "ada", "password": world.identity.accounts["ada"].password}
    return await world.client.send("POST", "/api/v1/auth/login", credentials)


async def _five_logins(world: World) -> None:
    for number in range(5):
        world.identity.register(f"user-{number}")
        await world.client.login(f"user-{number}")


def _ending(world: World, *, batch: int) -> GlobalEnding:
    """Return what ends sessions, run by hand."""
    parts = world.parts
    return GlobalEnding(
        database=parts._database,
        endings=parts._endings,
        clock=world.clock,
        metrics=Metrics(),
        batch=batch,
    )
