"""Refresh: rotated on every use, idempotent for a lost answer, deadly for a thief (D3)."""

import asyncio
from datetime import timedelta

import pytest

from chassis.database import Database
from chassis.testing import FixedClock
from chassis.testing.fixtures import MakeDatabase
from services.token.tests.kit import MIGRATIONS, Client, World, run_world


class TestRotation:
    """A refresh token is good for one successor."""

    async def test_gives_a_new_pair_and_keeps_the_session(self, world: World) -> None:
        """Both tokens are new, `sid` and `auth_time` are those of the login."""
        world.identity.register()
        first = await world.client.login()
        before = await world.verify(first["access_token"])
        world.clock.advance(timedelta(minutes=10))

        answer = (await world.client.refresh(first["refresh_token"])).json()

        after = await world.verify(answer["access_token"])
        assert answer["refresh_token"] != first["refresh_token"]
        assert answer["session_id"] == first["session_id"]
        assert (after.sid, after.auth_time) == (before.sid, before.auth_time)
        assert after.jti != before.jti
        assert len(await world.events("token.token.refreshed.v1")) == 1

    async def test_the_absolute_life_holds_in_spite_of_rotation(self, world: World) -> None:
        """The thirtieth day is the last, and no token promises more."""
        world.identity.register()
        tokens = await world.client.login()
        for _ in range(4):
            world.clock.advance(timedelta(days=6))
            tokens = (await world.client.refresh(tokens["refresh_token"])).json()
        world.clock.advance(timedelta(days=5, hours=23, minutes=55))

        last = (await world.client.refresh(tokens["refresh_token"])).json()
        world.clock.advance(timedelta(minutes=5))
        refused = await world.client.refresh(last["refresh_token"])

        assert (last["expires_in"], last["refresh_expires_in"]) == (300, 300)
        assert refused.status_code == 401

    async def test_the_idle_life_is_seven_days(self, world: World) -> None:
        """A second before it is accepted, at its end refused without ending as theft."""
        world.identity.register()
        tokens = await world.client.login()
        world.clock.advance(timedelta(days=7, seconds=-1))
        tokens = (await world.client.refresh(tokens["refresh_token"])).json()
        world.clock.advance(timedelta(days=7))

        refused = await world.client.refresh(tokens["refresh_token"])

        assert (refused.status_code, refused.json()["code"]) == (401, "invalid_refresh_token")
        assert await world.events("token.refresh_token.reused.v1") == []

    async def test_a_session_that_is_over_is_told(self, world: World) -> None:
        """Each attempt is one event; a token that was never given makes none."""
        account = world.identity.register()
        tokens = await world.client.login()
        await world.client.logout(refresh_token=tokens["refresh_token"])

        for token in (tokens["refresh_token"], "gh_rt_" + "A" * 43, "garbage"):
            assert (await world.client.refresh(token)).status_code == 401

        (failed,) = await world.events("token.refresh.failed.v1")
        assert (failed["subject"], failed.get("actor")) == (str(account.user_id), None)
        assert failed["data"]["session_id"] == tokens["session_id"]
        assert failed["ip"] == world.client.address

    async def test_only_hashes_are_stored(self, world: World) -> None:
        """No table holds a token that could be presented, not even of a spent one's successor."""
        world.identity.register()
        first = await world.client.login()
        second = (await world.client.refresh(first["refresh_token"])).json()

        dump = await world.rows(
            "SELECT t::text AS text FROM refresh_tokens t"
            " UNION ALL SELECT s::text FROM sessions s UNION ALL SELECT o::text FROM outbox o"
        )

        text = "".join(row.text for row in dump)
        for token in (first["refresh_token"], second["refresh_token"]):
            assert token.removeprefix("gh_rt_") not in text


class TestRepetition:
    """A client that lost an answer gets it again."""

    async def test_a_lost_answer_is_repeated_within_the_grace(self, world: World) -> None:
        """The same successor, with its real remaining life, a fresh access token, no event."""
        world.identity.register()
        first = await world.client.login()
        lost = (await world.client.refresh(first["refresh_token"])).json()
        world.clock.advance(timedelta(seconds=10))

        again = (await world.client.refresh(first["refresh_token"])).json()

        assert again["refresh_token"] == lost["refresh_token"]
        assert again["refresh_expires_in"] == lost["refresh_expires_in"] - 10
        assert again["access_token"] != lost["access_token"]
        assert len(await world.events("token.token.refreshed.v1")) == 1
        assert (await world.client.refresh(again["refresh_token"])).status_code == 200

    async def test_another_replica_repeats_the_same(
        self, make_database: MakeDatabase, clock: FixedClock
    ) -> None:
        """What a repetition needs is in the database, not in the process that answered first."""
        database = await make_database("token", MIGRATIONS)
        async with run_world(database, clock) as one, run_world(database, clock) as other:
            account = one.identity.register()
            other.identity.accounts["ada"] = account
            first = await one.client.login()
            lost = (await one.client.refresh(first["refresh_token"])).json()

            again = (await other.client.refresh(first["refresh_token"])).json()

        assert again["refresh_token"] == lost["refresh_token"]

    @pytest.mark.parametrize("rounds", [range(3)])
    async def test_fifty_at_once_get_one_successor(self, world: World, rounds: range) -> None:
        """One rotation happens, and every caller is told the same."""
        world.identity.register()
        tokens = await world.client.login()
        for done in rounds:
            answers = await asyncio.gather(
                *(world.client.refresh(tokens["refresh_token"]) for _ in range(50))
            )

            assert {answer.status_code for answer in answers} == {200}
            assert len({answer.json()["refresh_token"] for answer in answers}) == 1
            assert len(await world.events("token.token.refreshed.v1")) == done + 1
            tokens = answers[0].json()

    async def test_the_device_token_is_what_makes_the_same_client(self, world: World) -> None:
        """With one, the user agent may change (an update); the address never matters."""
        world.identity.register()
        before = Client(world, device="device-1", user_agent="Browser/1", address="192.0.2.1")
        after = Client(world, device="device-1", user_agent="Browser/2", address="192.0.2.2")
        first = await before.login()
        lost = (await before.refresh(first["refresh_token"])).json()

        again = (await after.refresh(first["refresh_token"])).json()

        assert again["refresh_token"] == lost["refresh_token"]

    async def test_without_a_grace_every_second_use_is_theft(
        self, make_database: MakeDatabase, clock: FixedClock
    ) -> None:
        """REFRESH_GRACE_SECONDS=0: also at the same moment, whoever it is."""
        database = await make_database("token", MIGRATIONS)
        async with run_world(database, clock, refresh_grace_seconds=0) as world:
            world.identity.register()
            token = (await world.client.login())["refresh_token"]
            answers = await asyncio.gather(*(world.client.refresh(token) for _ in range(10)))
            reused = await world.events("token.refresh_token.reused.v1")
            good = [answer.json() for answer in answers if answer.is_success]
            successor = await world.client.refresh(good[0]["refresh_token"])

        assert (len(good), len(reused), successor.status_code) == (1, 1, 401)


class TestTheft:
    """A token that two parties hold ends the family."""

    async def _family(self, world: World) -> tuple[str, str, str]:
        world.identity.register()
        first = (await world.client.login())["refresh_token"]
        second = (await world.client.refresh(first)).json()["refresh_token"]
        third = (await world.client.refresh(second)).json()["refresh_token"]
        return first, second, third

    async def test_a_grandparent_ends_the_family_even_within_the_grace(self, world: World) -> None:
        """The newest token is dead too, and so are the access tokens of the session."""
        first, _, third = await self._family(world)

        stolen = await world.client.refresh(first)
        newest = await world.client.refresh(third)

        ended = await world.events("token.session.ended.v1")
        assert (stolen.status_code, stolen.json()["code"]) == (401, "invalid_refresh_token")
        assert (newest.status_code, newest.json()["code"]) == (401, "invalid_refresh_token")
        assert [event["data"]["reason"] for event in ended] == ["refresh_token_reused"]
        assert await world.denied_sids() == {ended[0]["data"]["session_id"]}
        assert len(await world.events("token.refresh_token.reused.v1")) == 1

    async def test_a_late_predecessor_ends_the_family(self, world: World) -> None:
        """A moment after the grace it is not a lost answer any more."""
        world.identity.register()
        first = await world.client.login()
        second = (await world.client.refresh(first["refresh_token"])).json()
        world.clock.advance(timedelta(seconds=10, microseconds=1))

        late = await world.client.refresh(first["refresh_token"])

        assert late.status_code == 401
        assert (await world.client.refresh(second["refresh_token"])).status_code == 401
        assert len(await world.events("token.refresh_token.reused.v1")) == 1

    @pytest.mark.parametrize(
        ("owner", "thief"),
        [
            ({"user_agent": "Browser/1"}, {"user_agent": "curl/8"}),
            ({"device": "device-1"}, {"device": "device-2"}),
            ({"device": "device-1"}, {}),
            ({}, {"device": "device-1"}),
        ],
    )
    async def test_another_client_within_the_grace_ends_the_family(
        self, world: World, owner: dict[str, str], thief: dict[str, str]
    ) -> None:
        """Whoever rotated the token is the only one who may have lost the answer."""
        world.identity.register()
        first = await Client(world, **owner).login()
        await Client(world, **owner).refresh(first["refresh_token"])

        answer = await Client(world, **thief).refresh(first["refresh_token"])

        assert answer.status_code == 401
        assert await world.denied_sids() == {first["session_id"]}

    async def test_one_incident_is_told_once(self, world: World) -> None:
        """Whatever is presented after the end is refused like any unknown token."""
        first, second, third = await self._family(world)

        answers = [await world.client.refresh(token) for token in (first, second, third, first)]

        assert {answer.json()["code"] for answer in answers} == {"invalid_refresh_token"}
        assert len(await world.events("token.refresh_token.reused.v1")) == 1
        assert len(await world.events("token.session.ended.v1")) == 1


class TestRefusals:
    """Whatever is not accepted gets one answer."""

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "garbage",
            "gh_rt_" + "A" * 43,
            "gh_rt_" + "A" * 42,
            "gh_rt_" + "A" * 44,
            "gh_rt_" + "A" * 42 + "=",
            "gh_vt_" + "A" * 43,
            "x" * 10_000,
            "'; DROP TABLE sessions; --",
        ],
    )
    async def test_garbage_is_refused_like_an_unknown_token(self, world: World, text: str) -> None:
        """Form and existence make no difference to the sender."""
        answer = await world.client.refresh(text)

        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_refresh_token")
        assert answer.headers["gatehouse-report"] == "invalid_refresh_token"

    async def test_what_is_told_of_a_session_is_not_reported_besides(self, world: World) -> None:
        """Of a session that is over token tells by itself, with whose it was."""
        world.identity.register()
        tokens = await world.client.login()
        await world.client.logout(refresh_token=tokens["refresh_token"])

        answer = await world.client.refresh(tokens["refresh_token"])

        assert answer.status_code == 401
        assert "gatehouse-report" not in answer.headers
        assert len(await world.events("token.refresh.failed.v1")) == 1

    @pytest.mark.parametrize("kind", ["access", "device", "gh_vt_", "gh_pr_", "csrf"])
    async def test_other_kinds_of_tokens_are_not_refresh_tokens(
        self, world: World, kind: str
    ) -> None:
        """Refused at refresh and at logout, and the session does not notice."""
        world.identity.register()
        tokens = await world.client.login()
        text = {
            "access": tokens["access_token"],
            "device": tokens["device_token"],
            "csrf": f"{tokens['session_id']}.{'r' * 22}.{'m' * 43}",
        }.get(kind, kind + tokens["refresh_token"].removeprefix("gh_rt_"))

        answers = [await world.client.refresh(text), await world.client.logout(refresh_token=text)]

        assert [answer.status_code for answer in answers] == [401, 401]
        assert {answer.json()["code"] for answer in answers} == {"invalid_refresh_token"}
        assert await world.denied() == []

    async def test_a_refresh_token_is_not_an_access_token(self, world: World) -> None:
        """In the Authorization header it is refused, at logout, or not looked at, at refresh."""
        world.identity.register()
        tokens = await world.client.login()
        bearer = {"authorization": f"Bearer {tokens['refresh_token']}"}

        logout = await world.client.send("POST", "/api/v1/auth/logout", headers=bearer)
        refresh = await world.client.send("POST", "/api/v1/auth/refresh", {}, headers=bearer)
        query = f"/api/v1/auth/refresh?refresh_token={tokens['refresh_token']}"
        in_query = await world.client.send("POST", query, {})

        assert (logout.status_code, logout.json()["code"]) == (401, "invalid_token")
        assert [refresh.status_code, in_query.status_code] == [400, 400]
        assert (await world.client.refresh(tokens["refresh_token"])).status_code == 200


class TestRoles:
    """Roles come from token's own memory, at most five minutes old."""

    async def test_fresh_roles_need_no_question(self, world: World) -> None:
        """A login was the confirmation."""
        account = world.identity.register()
        tokens = await world.client.login()
        account.roles, account.version = ("admin",), 2
        world.clock.advance(timedelta(minutes=5))

        answer = (await world.client.refresh(tokens["refresh_token"])).json()

        assert (await world.verify(answer["access_token"])).roles == {"user"}
        assert world.identity.subject_requests == 0

    async def test_older_roles_are_confirmed_by_one_question(self, world: World) -> None:
        """Many refreshes at once ask identity once."""
        account = world.identity.register()
        tokens = await world.client.login()
        account.roles, account.version = ("admin",), 2
        world.clock.advance(timedelta(minutes=5, seconds=1))

        answers = await asyncio.gather(
            *(world.client.refresh(tokens["refresh_token"]) for _ in range(5))
        )

        token = await world.verify(answers[0].json()["access_token"])
        assert (token.roles, token.ver) == (frozenset({"admin"}), 2)
        assert world.identity.subject_requests == 1

    async def test_identity_away_leaves_the_old_roles(self, world: World) -> None:
        """Refresh goes on, and identity is not asked again for every one of them."""
        world.identity.register()
        tokens = await world.client.login()
        world.identity.away = True
        world.clock.advance(timedelta(hours=1))

        tokens = (await world.client.refresh(tokens["refresh_token"])).json()
        answer = await world.client.refresh(tokens["refresh_token"])

        assert answer.status_code == 200
        assert (await world.verify(answer.json()["access_token"])).roles == {"user"}
        assert world.identity.subject_requests == 1

    async def test_roles_nobody_confirmed_for_a_day_are_not_used(self, world: World) -> None:
        """The bound of trust in old roles: 503, and the token stays good."""
        world.identity.register()
        tokens = await world.client.login()
        world.identity.away = True
        world.clock.advance(timedelta(hours=24, seconds=1))

        refused = await world.client.refresh(tokens["refresh_token"])
        world.identity.away = False
        world.clock.advance(timedelta(seconds=10))
        accepted = await world.client.refresh(tokens["refresh_token"])

        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert accepted.status_code == 200

    async def test_a_user_identity_does_not_know_gets_nothing(self, world: World) -> None:
        """The event of the deletion may still be on its way."""
        world.identity.register()
        tokens = await world.client.login()
        world.identity.accounts.clear()
        world.clock.advance(timedelta(minutes=6))

        answer = await world.client.refresh(tokens["refresh_token"])

        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_refresh_token")


class TestAgainstLogout:
    """Refresh and logout are serialised: nothing survives a logout."""

    async def test_no_token_survives_a_logout_that_races_a_refresh(self, world: World) -> None:
        """In 100 rounds, whoever comes first, the session and all its tokens are dead."""
        world.identity.register()
        for _ in range(100):
            tokens = await world.client.login()
            principal = await world.principal(tokens)
            refreshed, left = await asyncio.gather(
                world.client.refresh(tokens["refresh_token"]), world.client.logout(principal)
            )

            assert left.status_code == 200
            newest = refreshed.json().get("refresh_token", tokens["refresh_token"])
            assert (await world.client.refresh(newest)).status_code == 401
            assert tokens["session_id"] in await world.denied_sids()

    async def test_a_database_that_does_not_answer_is_told(self, world: World) -> None:
        """503 with Retry-After, and nothing happened."""
        world.identity.register()
        tokens = await world.client.login()
        database: Database = world.database
        async with database.transaction() as tx:
            await (await tx.driver()).execute("LOCK TABLE refresh_tokens IN ACCESS EXCLUSIVE MODE")
            answer = await world.client.refresh(tokens["refresh_token"])

        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
        assert answer.headers["retry-after"] == "1"
        assert (await world.client.refresh(tokens["refresh_token"])).status_code == 200
