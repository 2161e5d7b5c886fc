"""Signing keys: one for all replicas, encrypted at rest, rotated unattended; discovery."""

import asyncio
import json
from datetime import timedelta

import pytest

from chassis.crypto import b64encode
from chassis.testing import FixedClock, eventually
from chassis.testing.fixtures import MakeDatabase
from services.token.errors import SigningKeyMissing
from services.token.keys import KeyRing, generate_key
from services.token.tests.kit import ISSUER, MIGRATIONS, World, run_world

JWKS = "/.well-known/jwks.json"
AHEAD = timedelta(minutes=10, seconds=10)


class TestJwks:
    """GET /.well-known/jwks.json (J-16)."""

    async def test_publishes_public_halves_only(self, world: World) -> None:
        """Unique names, `use` and `alg`, no private member, cacheable."""
        answer = await world.send("GET", JWKS)

        (key,) = answer.json()["keys"]
        assert set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
        assert (key["kty"], key["use"], key["alg"]) == ("EC", "sig", "ES256")
        assert answer.headers["cache-control"] == "public, max-age=300"

    async def test_is_not_sent_again_to_who_has_it(self, world: World) -> None:
        """304 for the same entity tag (RFC 9110 §13.1.2)."""
        etag = (await world.send("GET", JWKS)).headers["etag"]

        same = await world.send("GET", JWKS, headers={"if-none-match": etag})
        other = await world.send("GET", JWKS, headers={"if-none-match": '"other"'})

        assert (same.status_code, same.content) == (304, b"")
        assert other.status_code == 200

    async def test_the_metadata_is_true(self, world: World) -> None:
        """RFC 8414: issuer exactly, where the keys are, and no grant that is not there."""
        answer = await world.send("GET", "/.well-known/oauth-authorization-server")
        methods = ["client_secret_basic", "client_secret_post"]

        assert answer.json() == {
            "issuer": ISSUER,
            "jwks_uri": f"{ISSUER}{JWKS}",
            "response_types_supported": [],
            "grant_types_supported": [],
            "introspection_endpoint": f"{ISSUER}/oauth2/introspect",
            "introspection_endpoint_auth_methods_supported": methods,
            "revocation_endpoint": f"{ISSUER}/oauth2/revoke",
            "revocation_endpoint_auth_methods_supported": methods,
        }


class TestAtRest:
    """What the database holds of a key."""

    async def test_the_private_half_is_encrypted(self, world: World) -> None:
        """It opens under the configured key for its own `kid`, and under nothing else."""
        (row,) = await world.rows("SELECT kid, state, sealed_private_key FROM signing_keys")
        ring = KeyRing([b"x" * 32])

        ring.load(await world.stored_keys(), epoch=0)

        assert row.state == "active"
        assert ring.unopened == {row.kid}
        with pytest.raises(SigningKeyMissing):
            _ = ring.signing_key

    async def test_the_wrong_encryption_key_stops_the_start(
        self, make_database: MakeDatabase, clock: FixedClock, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Exit 78 with the setting's name: no second key is made behind the first."""
        database = await make_database("token", MIGRATIONS)
        async with run_world(database, clock):
            pass

        with pytest.raises(SystemExit) as caught:
            async with run_world(database, clock, signing_key_encryption_keys=b64encode(b"x" * 32)):
                pass

        assert caught.value.code == 78
        assert "SIGNING_KEY_ENCRYPTION_KEYS" in capsys.readouterr().err

    async def test_an_older_encryption_key_still_opens(
        self, make_database: MakeDatabase, clock: FixedClock
    ) -> None:
        """A new first key encrypts what comes, the second reads what is there."""
        database = await make_database("token", MIGRATIONS)
        both = ",".join(b64encode(key * 32) for key in (b"n", b"k"))
        async with run_world(database, clock):
            pass

        async with run_world(database, clock, signing_key_encryption_keys=both) as world:
            assert len((await world.send("GET", JWKS)).json()["keys"]) == 1


class TestAlgorithms:
    """SIGNING_ALGORITHM."""

    @pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256"])
    async def test_tokens_verify_from_the_jwks_alone(
        self, make_database: MakeDatabase, clock: FixedClock, algorithm: str
    ) -> None:
        """Login and refresh with each of them."""
        database = await make_database("token", MIGRATIONS)
        async with run_world(database, clock, signing_algorithm=algorithm) as world:
            world.identity.register()
            tokens = await world.client.login()
            refreshed = (await world.client.refresh(tokens["refresh_token"])).json()

            assert (await world.verify(refreshed["access_token"])).sid

    @pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256"])
    async def test_no_private_member_is_ever_published(
        self, make_database: MakeDatabase, clock: FixedClock, algorithm: str
    ) -> None:
        """Neither of the key that signs, nor before, nor after (RFC 7518 §6.2.2, §6.3.2)."""
        database = await make_database("token", MIGRATIONS)
        async with run_world(database, clock, signing_algorithm=algorithm) as world:
            world.clock.advance(timedelta(days=30))
            await world.rotate()
            before = (await world.send("GET", JWKS)).json()["keys"]
            world.clock.advance(AHEAD)
            await world.rotate()
            after = (await world.send("GET", JWKS)).json()["keys"]

        assert len(before) == len(after) == 2
        assert {"kty", "kid", "use", "alg"} <= set.intersection(*map(set, before + after))
        assert not {"d", "p", "q", "dp", "dq", "qi", "oth", "k"} & set().union(*before, *after)

    @pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
    def test_names_are_thumbprints(self, algorithm: str) -> None:
        """RFC 7638: 256 bits of the public key itself, so no two keys share one."""
        kids = {generate_key(algorithm).kid for _ in range(20)}

        assert len(kids) == 20
        assert {len(kid) for kid in kids} == {43}


class TestReplicas:
    """Several processes, one set of keys."""

    async def test_two_that_start_at_once_make_one_key(
        self, make_database: MakeDatabase, clock: FixedClock
    ) -> None:
        """Each verifies the other's tokens."""
        database = await make_database("token", MIGRATIONS)

        async def key_sets() -> list[str]:
            async with run_world(database, clock) as one, run_world(database, clock) as other:
                return [(await world.send("GET", JWKS)).text for world in (one, other)]

        documents = await asyncio.gather(key_sets(), key_sets())

        assert len({document for pair in documents for document in pair}) == 1
        assert len(json.loads(documents[0][0])["keys"]) == 1

    async def test_rotation_is_staged_and_unattended(self, world: World) -> None:
        """Published, then active while the old one still verifies, then gone; one event."""
        world.identity.register()
        (first,) = await self._kids(world)
        old = await world.client.login()
        world.clock.advance(timedelta(days=30) - AHEAD)
        await world.rotate()
        both = await self._kids(world)
        before = (await world.verify((await world.client.login())["access_token"])).kid
        world.clock.advance(AHEAD)
        await world.rotate()
        tokens = await world.client.login()
        after = (await world.verify(tokens["access_token"])).kid
        during = await self._kids(world)
        world.clock.advance(timedelta(minutes=21))
        await world.rotate()

        (rotated,) = await world.events("token.signing_key.rotated.v1")
        assert len(both) == 2
        assert before == first
        assert after != first
        assert during == both
        assert await self._kids(world) == {after}
        assert rotated["data"] == {"kid": after, "previous_kid": first}
        assert old["access_token"] != tokens["access_token"]

    async def test_a_retired_key_has_no_private_half(self, world: World) -> None:
        """What cannot sign any more cannot be stolen."""
        for step in (timedelta(days=30), AHEAD):
            world.clock.advance(step)
            await world.rotate()

        rows = await world.rows("SELECT state, sealed_private_key FROM signing_keys")
        assert sorted((row.state, row.sealed_private_key is None) for row in rows) == [
            ("active", False),
            ("retired", True),
        ]

    async def test_another_replica_takes_the_new_key_over(
        self, make_database: MakeDatabase, clock: FixedClock
    ) -> None:
        """Without being told, within its look at the database."""
        database = await make_database("token", MIGRATIONS)
        async with run_world(database, clock) as one, run_world(database, clock) as other:
            clock.advance(timedelta(days=30))
            await one.rotate()
            await other.rotate()

            assert await self._kids(other) == await self._kids(one)

    async def test_the_background_task_rotates(self, world: World) -> None:
        """Nobody has to call anything."""
        world.clock.advance(timedelta(days=31))

        async def published() -> bool:
            return len(await self._kids(world)) == 2

        await eventually(published, within=timedelta(seconds=20))

    async def _kids(self, world: World) -> set[str]:
        return {key["kid"] for key in (await world.send("GET", JWKS)).json()["keys"]}
