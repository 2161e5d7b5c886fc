"""The checklist's rows on tokens that the token service answers for."""

import base64
from datetime import datetime, timedelta
from uuid import UUID

import jwt
import pytest

from chassis.jwt import MAX_LEEWAY, KeySet
from chassis.testing.servers import PostgresServer
from services.token.domain.keys import JWKS_MAX_AGE, RotationPolicy
from services.token.refresh_secrets import RefreshSecret
from services.token.tests.kit import World

JWKS = "/.well-known/jwks.json"
METADATA = "/.well-known/oauth-authorization-server"


@pytest.fixture
def postgres_server(postgres: PostgresServer) -> PostgresServer:
    """Run on one PostgreSQL: what is looked at has left the service."""
    return postgres


class TestJ10RefreshRotation:
    """J-10: rotation, and reuse that ends everything (RFC 9700 §4.14.2)."""

    async def test_the_first_of_three_ends_the_third(self, world: World) -> None:
        """R1 → R2 → R3, then R1 again: R3 is dead, and so is every access token by its `sid`."""
        world.identity.register()
        answers = [await world.client.login()]
        for _ in range(2):
            refreshed = await world.client.refresh(answers[-1]["refresh_token"])
            answers.append(refreshed.json())
        sids = {str((await world.verify(a["access_token"])).sid) for a in answers}

        statuses = [
            (await world.client.refresh(answers[n]["refresh_token"])).status_code for n in (0, 2, 1)
        ]

        assert statuses == [401, 401, 401]
        assert sids == {answers[0]["session_id"]}
        assert await world.denied_sids() == sids

    @pytest.mark.parametrize("scope", ["admin", "", "openid offline_access"])
    async def test_the_scope_cannot_grow(self, world: World, scope: str) -> None:
        """Nobody may ask for one at all (RFC 6749 §6): 400, and the token is not spent."""
        world.identity.register()
        tokens = await world.client.login()
        before = await world.verify(tokens["access_token"])

        body = {"refresh_token": tokens["refresh_token"], "scope": scope}
        asked = await world.client.send("POST", "/api/v1/auth/refresh", body)
        granted = (await world.client.refresh(tokens["refresh_token"])).json()

        (error,) = asked.json()["errors"]
        assert (asked.status_code, error["pointer"]) == (400, "/scope")
        assert (await world.verify(granted["access_token"])).scope == before.scope == ""

    def test_a_refresh_token_has_256_random_bits(self) -> None:
        """And none comes twice."""
        made = {RefreshSecret.new().text for _ in range(10_000)}

        assert len(made) == 10_000
        assert {len(base64.urlsafe_b64decode(t.removeprefix("gh_rt_") + "=")) for t in made} == {32}


class TestJ11NoDpop:
    """J-11: sender constraint is not offered, and nobody is told it was."""

    async def test_the_metadata_does_not_promise_it(self, world: World) -> None:
        """No `dpop_signing_alg_values_supported`, no certificate-bound tokens."""
        document = (await world.send("GET", METADATA)).json()

        assert not [name for name in document if "dpop" in name or "certificate" in name]

    async def test_a_proof_at_refresh_binds_nothing(self, world: World) -> None:
        """The header is passed over: the token that comes is a Bearer, and says so."""
        world.identity.register()
        tokens = await world.client.login()

        body = {"refresh_token": tokens["refresh_token"]}
        answer = await world.client.send(
            "POST", "/api/v1/auth/refresh", body, headers={"dpop": tokens["access_token"]}
        )

        claims = jwt.decode(answer.json()["access_token"], options={"verify_signature": False})
        assert answer.json()["token_type"] == "Bearer"
        assert "cnf" not in claims


class TestJ15SubjectsAndClients:
    """J-15: the `sub` of a user is never what a client is called (RFC 9700 §4.15)."""

    async def test_every_sub_is_the_uuid_of_a_user(self, world: World) -> None:
        """There is no `client_id` in a token of ours, and a user's name is not in it either."""
        account = world.identity.register("client-shop")
        text = (await world.client.login("client-shop"))["access_token"]

        claims = jwt.decode(text, options={"verify_signature": False})

        assert UUID(claims["sub"]) == account.user_id
        assert not {"client_id", "azp", "username", "email"} & set(claims)
        assert "client-shop" not in str(claims)


class TestJ16Jwks:
    """J-16: what is published is what a strict reader takes."""

    async def test_a_strict_reader_takes_it(self, world: World) -> None:
        """Unique kids, `use` and `alg`, and nothing private in any form."""
        answer = await world.send("GET", JWKS)

        keys = answer.json()["keys"]
        assert KeySet.from_jwks(answer.json()).kids == {key["kid"] for key in keys}
        assert {(key["use"], key["alg"]) for key in keys} == {("sig", "ES256")}
        assert "max-age" in answer.headers["cache-control"]
        assert not {"d", "p", "q", "dp", "dq", "qi", "oth", "k"} & {m for key in keys for m in key}

    @pytest.mark.parametrize("minutes", [1, 15, 60])
    def test_a_key_stays_until_its_last_token_and_every_cache_have_run_out(
        self, minutes: int
    ) -> None:
        """Access life, leeway, and the time anybody may keep the set."""
        policy = RotationPolicy(
            algorithm="ES256",
            rotate_after=timedelta(days=30),
            access_ttl=timedelta(minutes=minutes),
        )

        assert policy.keep_retired >= policy.access_ttl + MAX_LEEWAY + JWKS_MAX_AGE


class TestJ17Revocation:
    """J-17: an entry of the deny list outlives every token it denies."""

    async def test_the_entry_outlives_the_youngest_token(self, world: World) -> None:
        """Also one that was made in the moment of the logout, and with all the leeway there is."""
        world.identity.register()
        tokens = await world.client.login()
        refreshed = (await world.client.refresh(tokens["refresh_token"])).json()
        youngest = await world.verify(refreshed["access_token"])

        await world.client.logout(youngest.principal)

        (entry,) = await world.denied()
        assert (entry["kind"], entry["value"]) == ("sid", str(youngest.sid))
        assert datetime.fromisoformat(entry["revoked_until"]) >= youngest.exp + MAX_LEEWAY

    async def test_an_entry_is_there_for_a_gateway_that_starts_anew(self, world: World) -> None:
        """It is in the database, not in a cache: a reading from nothing has it."""
        world.identity.register()
        tokens = await world.client.login()
        await world.client.logout(refresh_token=tokens["refresh_token"])

        assert await world.denied_sids() == {tokens["session_id"]}
        world.clock.advance(timedelta(minutes=15) + MAX_LEEWAY)
        assert await world.denied_sids() == {tokens["session_id"]}
        world.clock.advance(timedelta(minutes=2))
        assert await world.denied_sids() == set()
