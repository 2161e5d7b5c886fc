"""What anybody else can do with our tokens: verify them from the JWKS alone.

The verifier here is joserfc, which shares no code with PyJWT or with ours.
"""

from typing import Any

import pytest
from joserfc import jwt
from joserfc.errors import BadSignatureError, JoseError
from joserfc.jwk import KeySet
from joserfc.jwt import JWTClaimsRegistry, Token

from chassis.testing import FixedClock
from chassis.testing.fixtures import MakeDatabase
from chassis.testing.servers import PostgresServer
from services.token.tests.kit import AUDIENCE, ISSUER, MIGRATIONS, World, run_world

ALGORITHMS = ("ES256", "EdDSA", "RS256")


@pytest.fixture
def postgres_server(postgres: PostgresServer) -> PostgresServer:
    """Run on one PostgreSQL: what is looked at has left the service."""
    return postgres


async def published(world: World) -> Any:
    """Return the JWK set as anybody gets it."""
    return (await world.send("GET", "/.well-known/jwks.json")).json()


def verify(text: str, jwks: Any, *, now: int) -> Token:
    """Verify a token as a product would that has only our JWKS and the two names."""
    token = jwt.decode(text, KeySet.import_key_set(jwks), algorithms=list(ALGORITHMS))
    rules = JWTClaimsRegistry(
        now=now,
        iss={"essential": True, "value": ISSUER},
        aud={"essential": True, "value": AUDIENCE},
        exp={"essential": True},
        iat={"essential": True},
        sub={"essential": True},
    )
    rules.validate(token.claims)
    return token


# RFC 9864 would rather have "Ed25519"; every library reads "EdDSA", not every one the new name.
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated:joserfc.errors.SecurityWarning")
@pytest.mark.parametrize("algorithm", ALGORITHMS)
class TestIndependentVerifier:
    """joserfc, for every algorithm that can be configured."""

    async def test_verifies_tokens_of_login_and_refresh(
        self, make_database: MakeDatabase, clock: FixedClock, algorithm: str
    ) -> None:
        """Header and claims are those of RFC 9068 §2; whose they are is in them."""
        database = await make_database("token", MIGRATIONS)
        async with run_world(database, clock, signing_algorithm=algorithm) as world:
            account = world.identity.register()
            first = await world.client.login()
            second = (await world.client.refresh(first["refresh_token"])).json()
            jwks = await published(world)

        now = int(clock.now().timestamp())
        tokens = [verify(pair["access_token"], jwks, now=now) for pair in (first, second)]
        for token in tokens:
            assert (token.header["alg"], token.header["typ"]) == (algorithm, "at+jwt")
            assert token.header["kid"] == jwks["keys"][0]["kid"]
            assert token.claims["sub"] == str(account.user_id)
            assert token.claims["sid"] == first["session_id"]
        assert tokens[0].claims["jti"] != tokens[1].claims["jti"]

    async def test_refuses_what_was_tampered_with_or_has_run_out(
        self, make_database: MakeDatabase, clock: FixedClock, algorithm: str
    ) -> None:
        """It does verify: other claims, another service's key and another day are refused."""
        database, other = [await make_database("token", MIGRATIONS) for _ in range(2)]
        async with run_world(database, clock, signing_algorithm=algorithm) as world:
            world.identity.register()
            text = (await world.client.login())["access_token"]
            jwks = await published(world)
        async with run_world(other, clock, signing_algorithm=algorithm) as stranger:
            strange = await published(stranger)
        now = int(clock.now().timestamp())
        head, body, signature = text.split(".")
        strange["keys"][0]["kid"] = jwks["keys"][0]["kid"]

        with pytest.raises(BadSignatureError):
            verify(f"{head}.{body[:-4]}AAAA.{signature}", jwks, now=now)
        with pytest.raises(BadSignatureError):
            verify(text, strange, now=now)
        with pytest.raises(JoseError):
            verify(text, jwks, now=now + 901)
