"""Login: what a session needs, and what keeps it from starting."""

import asyncio
import json
from datetime import timedelta

import jwt
import pytest

from chassis.testing import FixedClock
from chassis.testing.fixtures import MakeDatabase
from contracts.identity import PasswordReset, UserDisabled
from services.token.tests.identity_stand_in import Account
from services.token.tests.kit import MIGRATIONS, Client, World, run_world

LOGIN = "/api/v1/auth/login"


class TestLogin:
    """POST /api/v1/auth/login."""

    async def test_good_credentials_give_a_session_and_its_tokens(self, world: World) -> None:
        """The answer has every field a client needs, and the access token verifies."""
        account = world.identity.register(roles=("user", "moderator"))

        answer = await world.client.login()

        token = await world.verify(answer["access_token"])
        assert answer["token_type"] == "Bearer"
        assert (answer["expires_in"], answer["refresh_expires_in"]) == (900, 7 * 86400)
        assert answer["device_token"] == f"device-{account.user_id}"
        assert (token.user_id, token.sid) == (account.user_id, answer["session_id"])
        assert token.roles == {"user", "moderator"}
        assert (token.ver, token.amr) == (1, ("pwd",))

    async def test_the_access_token_has_the_claims_of_d1_and_no_other(self, world: World) -> None:
        """No name and no address travels in a token."""
        world.identity.register()

        access_token = (await world.client.login())["access_token"]

        header = jwt.get_unverified_header(access_token)
        claims = jwt.decode(access_token, options={"verify_signature": False})
        assert set(header) == {"alg", "kid", "typ"}
        assert (header["alg"], header["typ"]) == ("ES256", "at+jwt")
        assert set(claims) == {
            *("iss", "aud", "sub", "sid", "jti", "iat", "exp"),
            *("auth_time", "amr", "roles", "scope", "ver"),
        }

    async def test_a_session_is_announced_with_who_and_where(self, world: World) -> None:
        """The event names the user as actor, the address and the user agent, no secret."""
        account = world.identity.register()

        answer = await Client(world, user_agent="Browser/1", address="192.0.2.9").login()

        (event,) = await world.events("token.session.started.v1")
        assert event["data"]["session_id"] == answer["session_id"]
        assert event["subject"] == event["actor"] == str(account.user_id)
        assert (event["ip"], event["useragent"]) == ("192.0.2.9", "Browser/1")
        assert answer["refresh_token"] not in json.dumps(event)

    async def test_nothing_waits_for_the_broker(
        self, make_database: MakeDatabase, clock: FixedClock
    ) -> None:
        """A bus that never opens leaves the event in the outbox, and the answer comes."""
        database = await make_database("token", MIGRATIONS)
        async with run_world(database, clock, open_bus=False) as world:
            world.identity.register()

            answer = await world.client.login()

            assert (await world.client.refresh(answer["refresh_token"])).status_code == 200
            rows = await world.rows("SELECT 1 FROM outbox WHERE published_at IS NULL")
            assert len(rows) == 2

    @pytest.mark.parametrize("place", ["body", "header"])
    async def test_the_device_token_reaches_identity(self, world: World, place: str) -> None:
        """From the body or from the header, and it comes back to the client."""
        world.identity.register()
        in_body = {"device_token": "known-device"} if place == "body" else {}
        device = "known-device" if place == "header" else None

        answer = await Client(world, device=device).login(**in_body)

        assert world.identity.requests[-1]["device_token"] == "known-device"
        assert answer["device_token"] == "known-device"

    async def test_the_deadline_travels(self, world: World) -> None:
        """Identity learns that after 5 s (its hash deadline) nobody needs the answer."""
        world.identity.register()

        await world.client.login()

        assert world.identity.requests[-1]["deadline_seconds"] == 5.0


class TestRefusals:
    """What identity refuses, the client is told in identity's words."""

    @pytest.mark.parametrize(
        ("status", "code", "retry_after"),
        [
            (401, "invalid_credentials", None),
            (403, "account_locked", "1800"),
            (403, "email_not_verified", None),
            (403, "account_disabled", None),
            (403, "password_reset_required", None),
            (429, "too_many_attempts", "1"),
            (503, "busy", "2"),
        ],
    )
    async def test_are_passed_on(
        self, world: World, status: int, code: str, retry_after: str | None
    ) -> None:
        """Status, code, title and Retry-After are identity's; no session is made."""
        world.identity.register()
        headers = {"Retry-After": retry_after} if retry_after else {}
        problem = {"code": code, "title": "Said by identity.", "status": status}
        world.identity.refusal = (status, problem, headers)

        answer = await world.client.send(
            "POST", LOGIN, {"username": "ada", "password": "Wrong-Horse-1"}
        )

        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.json()["title"] == "Said by identity."
        assert answer.headers.get("retry-after") == retry_after
        assert await world.rows("SELECT 1 FROM sessions") == []

    async def test_extensions_are_passed_on(self, world: World) -> None:
        """A reset token that comes with `password_change_required` reaches the client."""
        problem = {"code": "password_change_required", "title": "T", "reset_token": "gh_pr_x"}
        world.identity.refusal = (403, problem, {})

        answer = await world.client.send("POST", LOGIN, {"username": "a", "password": "b"})

        assert (answer.status_code, answer.json()["reset_token"]) == (403, "gh_pr_x")

    @pytest.mark.parametrize(
        ("status", "document"),
        [
            (401, {"code": "assertion_invalid", "title": "T"}),
            (403, {"code": "forbidden", "title": "T"}),
            (404, {"code": "not_found", "title": "T"}),
            (500, {}),
            (200, {"user_id": "not one"}),
        ],
    )
    async def test_trouble_between_the_services_is_not_the_clients(
        self, world: World, status: int, document: dict[str, str]
    ) -> None:
        """503, asked once, and no word of what it was."""
        world.identity.refusal = (status, document, {})

        answer = await world.client.send("POST", LOGIN, {"username": "a", "password": "b"})

        assert (answer.status_code, answer.json()["code"]) == (503, "dependency_unavailable")
        assert answer.headers["retry-after"] == "1"
        assert len(world.identity.requests) == 1

    async def test_identity_away(self, make_database: MakeDatabase, clock: FixedClock) -> None:
        """No login, and the reason is told."""
        database = await make_database("token", MIGRATIONS)
        async with run_world(database, clock, identity_url="http://127.0.0.1:1") as world:
            answer = await world.client.send("POST", LOGIN, {"username": "a", "password": "b"})

        assert (answer.status_code, answer.json()["code"]) == (503, "dependency_unavailable")


class TestVersions:
    """A login in flight is worth what the subject is worth when it ends (D24)."""

    async def _login_during(self, world: World, change: PasswordReset | UserDisabled) -> int:
        world.identity.gate.clear()
        credentials = {"username": "ada", "password": world.identity.accounts["ada"].password}
        login = asyncio.create_task(world.client.send("POST", LOGIN, credentials))
        await world.identity.asked.wait()
        assert (await world.push(world.event(change, 2))).status_code == 204
        world.identity.gate.set()
        answer = await login
        assert answer.json()["code"] == "invalid_credentials"
        return answer.status_code

    async def test_a_reset_meanwhile_refuses_it(self, world: World) -> None:
        """The old password's answer came too late; the new one's is good."""
        account = world.identity.register()

        refused = await self._login_during(world, PasswordReset(user_id=account.user_id))

        account.version = 2
        assert refused == 401
        assert await world.rows("SELECT 1 FROM sessions") == []
        assert (await world.client.login())["session_id"]

    async def test_being_disabled_meanwhile_refuses_it(self, world: World) -> None:
        """Also for somebody token had never heard of."""
        account = world.identity.register()

        assert await self._login_during(world, UserDisabled(user_id=account.user_id)) == 401

    async def test_newer_roles_than_the_answers_are_used(self, world: World) -> None:
        """The answer may be older than what token knows."""
        account = world.identity.register()
        account.roles, account.version = ("admin",), 5
        await world.client.login()
        account.roles, account.version = ("user",), 4

        token = await world.verify((await world.client.login())["access_token"])

        assert (token.roles, token.ver) == (frozenset({"admin"}), 5)


class TestSessionLimit:
    """How many sessions a user may have (D9)."""

    async def test_a_new_login_ends_the_others(self, world: World) -> None:
        """The replaced session's tokens are dead, and the event says why."""
        world.identity.register()
        old = await world.client.login()

        new = await world.client.login()

        (ended,) = await world.events("token.session.ended.v1")
        assert (await world.client.refresh(old["refresh_token"])).status_code == 401
        assert (await world.client.refresh(new["refresh_token"])).status_code == 200
        assert ended["data"]["session_id"] == old["session_id"]
        assert ended["data"]["reason"] == "replaced"
        assert await world.denied_sids() == {old["session_id"]}

    async def test_exactly_one_of_parallel_logins_survives(self, world: World) -> None:
        """20 rounds of 8 at once: one live session, one good refresh token."""
        world.identity.register()
        for _ in range(20):
            answers = await asyncio.gather(*(world.client.login() for _ in range(8)))

            refreshed = [await world.client.refresh(a["refresh_token"]) for a in answers]
            live = await world.rows("SELECT id FROM sessions WHERE ended_at IS NULL")
            assert sorted(answer.status_code for answer in refreshed) == [200, *([401] * 7)]
            assert len(live) == 1

    @pytest.mark.parametrize(("limit", "surviving"), [(2, 2), (0, 4)])
    async def test_the_limit_is_a_setting(
        self, make_database: MakeDatabase, clock: FixedClock, limit: int, surviving: int
    ) -> None:
        """The newest so many stay; 0 lets all stay."""
        database = await make_database("token", MIGRATIONS)
        async with run_world(database, clock, max_sessions_per_user=limit) as world:
            world.identity.register()
            answers = []
            for _ in range(4):
                clock.advance(timedelta(seconds=1))
                answers.append(await world.client.login())

            refreshed = [await world.client.refresh(a["refresh_token"]) for a in answers]

        expected = [*([401] * (4 - surviving)), *([200] * surviving)]
        assert [answer.status_code for answer in refreshed] == expected

    async def test_users_do_not_meet(self, world: World) -> None:
        """One user's login leaves another's session alone."""
        world.identity.register()
        world.identity.accounts["bob"] = Account()
        first = await world.client.login()

        await world.client.login("bob")

        assert (await world.client.refresh(first["refresh_token"])).status_code == 200
