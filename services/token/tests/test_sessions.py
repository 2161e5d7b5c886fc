"""Logout and the user's own list of sessions."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest

from chassis.testing import NOBODY, FixedClock
from chassis.testing.fixtures import MakeDatabase
from services.token.tests.identity_stand_in import Account
from services.token.tests.kit import MIGRATIONS, Client, World, run_world

SESSIONS = "/api/v1/sessions"


class TestLogout:
    """POST /api/v1/auth/logout."""

    @pytest.mark.parametrize("credential", ["access token", "refresh token"])
    async def test_ends_the_session_and_its_tokens(self, world: World, credential: str) -> None:
        """Either token will do; both are dead then, and the event says why."""
        account = world.identity.register()
        tokens = await world.client.login()

        if credential == "access token":
            answer = await world.client.logout(await world.principal(tokens))
        else:
            answer = await world.client.logout(refresh_token=tokens["refresh_token"])

        (ended,) = await world.events("token.session.ended.v1")
        assert answer.status_code == 200
        assert (await world.client.refresh(tokens["refresh_token"])).status_code == 401
        assert await world.denied_sids() == {tokens["session_id"]}
        assert (ended["data"]["reason"], ended["actor"]) == ("logout", str(account.user_id))

    async def test_the_entry_outlives_the_access_token(self, world: World) -> None:
        """Access life, 30 s of leeway and 60 s: then the gateway may forget it."""
        world.identity.register()
        tokens = await world.client.login()
        access = await world.verify(tokens["access_token"])

        await world.client.logout(access.principal)

        (entry,) = await world.denied()
        (ended,) = await world.events("token.session.ended.v1")
        assert entry["revoked_until"] == "2026-01-01T12:16:30Z"
        assert ended["data"]["revoked_until"] == entry["revoked_until"]

    async def test_an_access_token_in_the_header_will_do(self, world: World) -> None:
        """Where no principal came in the assertion, token verifies by itself."""
        world.identity.register()
        tokens = await world.client.login()
        bearer = {"authorization": f"Bearer {tokens['access_token']}"}

        answer = await world.client.send("POST", "/api/v1/auth/logout", headers=bearer)

        assert answer.status_code == 200
        assert await world.denied_sids() == {tokens["session_id"]}

    async def test_expired_and_ended_credentials_change_nothing(self, world: World) -> None:
        """200 for all of them: the user wanted to be logged out and is."""
        world.identity.register()
        ended = await world.client.login()
        principal = await world.principal(ended)
        await world.client.logout(principal)
        expired = await world.client.login()
        world.clock.advance(timedelta(minutes=16))
        bearer = {"authorization": f"Bearer {expired['access_token']}"}

        answers = [
            await world.client.logout(principal),
            await world.client.logout(principal, all=True),
            await world.client.logout(refresh_token=ended["refresh_token"]),
            await world.client.logout(refresh_token="gh_rt_" + "A" * 43),
            await world.client.send("POST", "/api/v1/auth/logout", headers=bearer),
        ]

        assert [answer.status_code for answer in answers] == [200] * 5
        assert len(await world.events("token.session.ended.v1")) == 1
        assert (await world.client.refresh(expired["refresh_token"])).status_code == 200

    async def test_no_credential_at_all(self, world: World) -> None:
        """401, with a body and without one."""
        answers = [await world.client.logout(), await world.client.logout(all=True)]

        assert [answer.status_code for answer in answers] == [401, 401]
        assert {answer.json()["code"] for answer in answers} == {"unauthenticated"}

    @pytest.mark.parametrize("credential", ["access token", "refresh token"])
    async def test_all_ends_every_session_of_the_user(
        self, make_database: MakeDatabase, clock: FixedClock, credential: str
    ) -> None:
        """And of nobody else."""
        database = await make_database("token", MIGRATIONS)
        async with run_world(database, clock, max_sessions_per_user=0) as world:
            world.identity.register()
            world.identity.accounts["bob"] = Account()
            own = [await world.client.login() for _ in range(3)]
            other = await world.client.login("bob")

            if credential == "access token":
                await world.client.logout(await world.principal(own[0]), all=True)
            else:
                await world.client.logout(refresh_token=own[0]["refresh_token"], all=True)

            refreshed = [await world.client.refresh(t["refresh_token"]) for t in (*own, other)]
            reasons = {e["data"]["reason"] for e in await world.events("token.session.ended.v1")}
            assert [answer.status_code for answer in refreshed] == [401, 401, 401, 200]
            assert reasons == {"logout_all"}

    async def test_anothers_refresh_token_is_not_ended_by_ones_access_token(
        self, world: World
    ) -> None:
        """Two credentials of two users: only the caller's session ends."""
        world.identity.register()
        world.identity.accounts["bob"] = Account()
        own, other = await world.client.login(), await world.client.login("bob")

        await world.client.logout(await world.principal(own), refresh_token=other["refresh_token"])

        assert await world.denied_sids() == {own["session_id"]}


class TestOwnSessions:
    """GET and DELETE /api/v1/sessions."""

    @pytest.fixture
    async def world(self, make_database: MakeDatabase, clock: FixedClock) -> AsyncIterator[World]:
        """Give a service that allows any number of sessions."""
        database = await make_database("token", MIGRATIONS)
        async with run_world(database, clock, max_sessions_per_user=0) as running:
            running.identity.register()
            running.identity.accounts["bob"] = Account()
            yield running

    async def test_lists_what_a_person_recognises(self, world: World) -> None:
        """Device, address and times, the newest first; only live ones, only one's own."""
        firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0"
        laptop = Client(world, user_agent=firefox, address="192.0.2.1")
        first = await laptop.login()
        world.clock.advance(timedelta(minutes=1))
        second = await world.client.login()
        gone = await world.client.login()
        await world.client.logout(await world.principal(gone))
        await world.client.login("bob")
        world.clock.advance(timedelta(minutes=1))
        await laptop.refresh(first["refresh_token"])

        principal = await world.principal(second)
        answer = await world.client.send("GET", SESSIONS, principal=principal)

        listed = answer.json()["sessions"]
        assert [entry["id"] for entry in listed] == [second["session_id"], first["session_id"]]
        assert [entry["current"] for entry in listed] == [True, False]
        assert listed[1] == {
            "id": first["session_id"],
            "device": "Firefox on Linux",
            "ip": "192.0.2.1",
            "user_agent": firefox,
            "created_at": "2026-01-01T12:00:00Z",
            "last_used_at": "2026-01-01T12:02:00Z",
            "expires_at": "2026-01-08T12:02:00Z",
            "current": False,
        }

    async def test_ends_one(self, world: World) -> None:
        """204, its tokens are dead, the caller's live on; a second time it is not there."""
        mine, lost = await world.client.login(), await world.client.login()
        principal = await world.principal(mine)
        path = f"{SESSIONS}/{lost['session_id']}"

        answer = await world.client.send("DELETE", path, principal=principal)
        again = await world.client.send("DELETE", path, principal=principal)

        assert (answer.status_code, answer.content, again.status_code) == (204, b"", 404)
        assert (await world.client.refresh(lost["refresh_token"])).status_code == 401
        assert (await world.client.refresh(mine["refresh_token"])).status_code == 200
        assert await world.denied_sids() == {lost["session_id"]}

    async def test_ids_of_others_do_not_exist(self, world: World) -> None:
        """Another user's session, an unknown one and no id at all look the same."""
        mine, other = await world.client.login(), await world.client.login("bob")
        principal = await world.principal(mine)

        answers = [
            await world.client.send("DELETE", f"{SESSIONS}/{session_id}", principal=principal)
            for session_id in (other["session_id"], uuid4(), "garbage", "0", "%00")
        ]

        bodies = [{**answer.json(), "request_id": ""} for answer in answers]
        assert {answer.status_code for answer in answers} == {404}
        assert all(body == bodies[0] for body in bodies)
        assert {answer.headers["gatehouse-report"] for answer in answers} == {"foreign_session"}
        assert (await world.client.refresh(other["refresh_token"])).status_code == 200

    async def test_what_one_ended_oneself_is_not_reported(self, world: World) -> None:
        """A second click is nobody's attack."""
        mine = await world.client.login()
        principal = await world.principal(mine)
        path = f"{SESSIONS}/{mine['session_id']}"

        answers = [await world.client.send("DELETE", path, principal=principal) for _ in range(2)]

        assert [answer.status_code for answer in answers] == [204, 404]
        assert "gatehouse-report" not in answers[1].headers

    async def test_ends_the_others(self, world: World) -> None:
        """The one that asks stays."""
        mine, *others = [await world.client.login() for _ in range(3)]
        stranger = await world.client.login("bob")
        principal = await world.principal(mine)

        answer = await world.client.send("DELETE", SESSIONS, principal=principal)

        assert answer.status_code == 204
        assert await world.denied_sids() == {other["session_id"] for other in others}
        for tokens in (mine, stranger):
            assert (await world.client.refresh(tokens["refresh_token"])).status_code == 200

    @pytest.mark.parametrize(
        ("method", "path"),
        [("GET", SESSIONS), ("DELETE", SESSIONS), ("DELETE", f"{SESSIONS}/{NOBODY}")],
    )
    async def test_strangers_have_none(self, world: World, method: str, path: str) -> None:
        """401 without a principal."""
        answer = await world.client.send(method, path)

        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")

    async def test_a_user_without_sessions_has_an_empty_list(self, world: World) -> None:
        """Nothing is there, and nothing is made by asking."""
        principal = await world.principal(await world.client.login())
        somebody = replace(principal, user_id=uuid4())

        answer = await world.client.send("GET", SESSIONS, principal=somebody)

        assert answer.json() == {"sessions": [], "next_cursor": None}

    async def test_comes_in_pages(self, world: World) -> None:
        """Each session once, also when one of them is used or ended between two pages."""
        logins = []
        for _ in range(5):
            logins.append(await world.client.login())
            world.clock.advance(timedelta(seconds=1))
        principal = await world.principal(logins[0])
        newest_first = [tokens["session_id"] for tokens in reversed(logins)]

        async def page(**asked: Any) -> dict[str, Any]:
            target = f"{SESSIONS}?{urlencode(asked)}"
            return dict((await world.client.send("GET", target, principal=principal)).json())

        first = await page(limit=2)
        await world.client.refresh(logins[1]["refresh_token"])
        await world.client.logout(refresh_token=logins[3]["refresh_token"])
        second = await page(limit=2, cursor=first["next_cursor"])
        third = await page(limit=2, cursor=second["next_cursor"])

        pages = [[entry["id"] for entry in each["sessions"]] for each in (first, second, third)]
        assert pages == [newest_first[:2], newest_first[2:4], newest_first[4:]]
        assert third["next_cursor"] is None

    @pytest.mark.parametrize(
        "query", ["limit=0", "limit=201", "limit=x", "cursor=x", "limit=1&limit=2", "page=2"]
    )
    async def test_refuses_what_is_no_page(self, world: World, query: str) -> None:
        """400, with the parameter's name."""
        principal = await world.principal(await world.client.login())

        answer = await world.client.send("GET", f"{SESSIONS}?{query}", principal=principal)

        name = query.partition("=")[0]
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")
        assert answer.json()["errors"][0]["pointer"] == f"/{name}"
