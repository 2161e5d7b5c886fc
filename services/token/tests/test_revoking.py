"""POST /oauth2/revoke (RFC 7009)."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from chassis.testing import FixedClock, eventually
from chassis.testing.fixtures import MakeDatabase
from contracts.denylist import denied_key
from services.token.tests.oauth import Office, run_office

REVOKED, ENDED = "token.token.revoked.v1", "token.session.ended.v1"
NOWHERE = SecretStr("redis://127.0.0.1:1/0")


@pytest.fixture
async def office(
    make_database: MakeDatabase, clock: FixedClock, tmp_path: Path
) -> AsyncIterator[Office]:
    """Give a service with clients and one user."""
    async with run_office(make_database, clock, tmp_path) as running:
        yield running


class TestAccessTokens:
    """One token, and nothing besides it."""

    async def test_are_denied_and_the_session_goes_on(self, office: Office) -> None:
        """Durably, for as long as somebody could take it."""
        tokens = await office.world.client.login()
        claims = await office.world.verify(tokens["access_token"])

        answer = await office.revoke(tokens["access_token"])

        (entry,) = await office.world.denied()
        assert (answer.status_code, answer.content) == (200, b"")
        assert (entry["kind"], entry["value"]) == ("jti", claims.jti)
        assert entry["revoked_until"] == "2026-01-01T12:16:30Z"
        assert await office.ask(tokens["access_token"]) == {"active": False}
        assert (await office.ask(tokens["refresh_token"]))["active"] is True
        newer = (await office.world.client.refresh(tokens["refresh_token"])).json()
        assert (await office.ask(newer["access_token"]))["active"] is True

    async def test_the_event_names_the_client(self, office: Office) -> None:
        """And the user it is about."""
        account = office.world.identity.accounts["ada"]
        tokens = await office.world.client.login()

        await office.revoke(tokens["access_token"])

        (event,) = await office.world.events(REVOKED)
        assert (event["actor"], event["ip"]) == ("client:helpdesk", "192.0.2.1")
        assert event["subject"] == str(account.user_id)
        assert event["data"]["kind"] == "jti"

    async def test_are_revoked_once(self, office: Office) -> None:
        """Also by many at the same moment."""
        tokens = await office.world.client.login()

        answers = await asyncio.gather(*(office.revoke(tokens["access_token"]) for _ in range(20)))

        assert {answer.status_code for answer in answers} == {200}
        assert len(await office.world.denied()) == 1
        assert len(await office.world.events(REVOKED)) == 1

    async def test_whose_session_is_over_need_nothing(self, office: Office) -> None:
        """They are dead by their session."""
        tokens = await office.world.client.login()
        await office.world.client.logout(refresh_token=tokens["refresh_token"])

        assert (await office.revoke(tokens["access_token"])).status_code == 200
        assert await office.world.events(REVOKED) == []

    async def test_that_have_expired_need_nothing(self, office: Office) -> None:
        """200, for the client's wish is fulfilled."""
        tokens = await office.world.client.login()
        office.world.clock.advance(timedelta(minutes=16))

        assert (await office.revoke(tokens["access_token"])).status_code == 200
        assert await office.world.denied() == []

    async def test_in_the_leeway_of_others_are_denied(self, office: Office) -> None:
        """Gateways still take them for 30 s."""
        tokens = await office.world.client.login()
        office.world.clock.advance(timedelta(minutes=15, seconds=10))

        await office.revoke(tokens["access_token"])

        assert [entry["kind"] for entry in await office.world.denied()] == ["jti"]


class TestRefreshTokens:
    """With them the session."""

    async def test_end_the_session_and_its_access_tokens(self, office: Office) -> None:
        """As a logout does, but in the client's name."""
        tokens = await office.world.client.login()

        answer = await office.revoke(tokens["refresh_token"])

        (event,) = await office.world.events(ENDED)
        assert answer.status_code == 200
        assert (event["data"]["reason"], event["actor"]) == ("revoked", "client:helpdesk")
        assert await office.world.denied_sids() == {tokens["session_id"]}
        assert (await office.world.client.refresh(tokens["refresh_token"])).status_code == 401
        assert await office.ask(tokens["access_token"]) == {"active": False}

    async def test_that_were_spent_end_it_too(self, office: Office) -> None:
        """The client may have missed the successor."""
        first = await office.world.client.login()
        second = (await office.world.client.refresh(first["refresh_token"])).json()

        await office.revoke(first["refresh_token"])

        assert await office.ask(second["access_token"]) == {"active": False}

    async def test_are_revoked_once(self, office: Office) -> None:
        """Also by many at the same moment, and beside a logout."""
        tokens = await office.world.client.login()

        await asyncio.gather(
            *(office.revoke(tokens["refresh_token"]) for _ in range(10)),
            office.world.client.logout(refresh_token=tokens["refresh_token"]),
        )

        assert len(await office.world.events(ENDED)) == 1

    @pytest.mark.parametrize("turn", range(10))
    async def test_no_token_survives_a_refresh_beside_it(self, office: Office, turn: int) -> None:
        """Whoever is first."""
        tokens = await office.world.client.login()
        refresh = office.world.client.refresh(tokens["refresh_token"])
        revoke = office.revoke(tokens["refresh_token"])

        both = (refresh, revoke) if turn % 2 else (revoke, refresh)
        answers = await asyncio.gather(*both)

        newer = [answer.json() for answer in answers if answer.content and answer.is_success]
        for issued in (tokens, *newer):
            assert await office.ask(issued["access_token"]) == {"active": False}
            assert await office.ask(issued["refresh_token"]) == {"active": False}


class TestWhatIsNoToken:
    """Of a session here."""

    @pytest.mark.parametrize(
        "token", ["x", "a.b.c", "gh_rt_short", "gh_rt_" + "A" * 43, "A" * 10_000, "töken"]
    )
    async def test_is_gone_already(self, office: Office, token: str) -> None:
        """200 (RFC 7009 §2.2)."""
        assert (await office.revoke(token, token_type_hint="refresh_token")).status_code == 200
        assert await office.world.count("outbox") == 0

    @pytest.mark.parametrize("kind", ["dt", "ev", "pr", "er", "ec", "cs"])
    async def test_is_named_when_it_is_another_secret_of_ours(
        self, office: Office, kind: str
    ) -> None:
        """200 would promise what does not happen."""
        answer = await office.revoke(f"gh_{kind}_" + "A" * 43)

        assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_token_type")

    @pytest.mark.parametrize("client_id", ["orders", "stranger"])
    async def test_is_for_clients_with_the_right(self, office: Office, client_id: str) -> None:
        """And of the audience."""
        tokens = await office.world.client.login()

        for kind in ("access_token", "refresh_token"):
            answer = await office.revoke(tokens[kind], client_id)
            assert (answer.status_code, answer.json()["error"]) == (403, "unauthorized_client")

        assert (await office.ask(tokens["access_token"]))["active"] is True
        assert (await office.revoke(tokens["access_token"], "sweeper")).status_code == 200
        assert await office.ask(tokens["access_token"]) == {"active": False}


class TestRedis:
    """Faster while it is there, and nothing more."""

    @pytest.mark.real
    async def test_hears_of_a_denied_token(
        self, make_database: MakeDatabase, clock: FixedClock, tmp_path: Path, redis_url: str
    ) -> None:
        """Where gateways count their limits."""
        given = SecretStr(redis_url)
        async with run_office(make_database, clock, tmp_path, redis_url=given) as office:
            tokens = await office.world.client.login()
            claims = await office.world.verify(tokens["access_token"])
            await office.revoke(tokens["access_token"])
            async with Redis.from_url(redis_url) as client:
                await eventually(lambda: client.exists(denied_key("jti", claims.jti)))

    async def test_may_be_away(
        self, make_database: MakeDatabase, clock: FixedClock, tmp_path: Path
    ) -> None:
        """Nobody waits for it, and gateways read the entry by their poll."""
        async with run_office(make_database, clock, tmp_path, redis_url=NOWHERE) as office:
            tokens = await office.world.client.login()

            assert (await office.revoke(tokens["access_token"])).status_code == 200
            assert await office.ask(tokens["access_token"]) == {"active": False}
            assert [entry["kind"] for entry in await office.world.denied()] == ["jti"]
