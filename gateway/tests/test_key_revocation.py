"""A signing key that is revoked: what it signed is dead at the gateway, for good."""

from datetime import timedelta
from pathlib import Path

import pytest

from chassis.inprocess import InProcessBus
from chassis.testing import eventually
from contracts.token import SigningKeyRevoked
from gateway.tests.signing import SigningKey, Subject, access_token
from gateway.tests.test_revocation import polled, publish
from gateway.tests.upstreams import TokenService
from gateway.tests.world import World
from gateway.tests.world import world as start_world

pytestmark = pytest.mark.slow

ME = "/api/v1/users/me"


@pytest.fixture
def stolen(world: World) -> SigningKey:
    """Give the key that everybody verifies with."""
    return world.token.keys[0]


def replace(token: TokenService, *, published: bool = False) -> SigningKey:
    """Revoke the key at token, which has another one; *published*: an old replica has it still."""
    old, new = token.keys[-1], SigningKey("second")
    token.revoked_keys.append(old.kid)
    token.keys[:] = [old] if published else [new]
    return new


def forged(key: SigningKey) -> dict[str, str]:
    """Return what a thief sends: a token that is to last for a year."""
    text = access_token(key, Subject(roles=("admin",)), lifetime=timedelta(days=365))
    return {"Authorization": f"Bearer {text}"}


class TestPoll:
    """What the poll alone makes true."""

    async def test_refuses_after_the_next_poll_what_was_verified_before(
        self, world: World, stolen: SigningKey
    ) -> None:
        """401 `token_stale`: refresh it. Whoever has a token of the successor passes."""
        old, fakes = world.bearer(Subject()), forged(stolen)
        before = [await world.ask("GET", ME, headers=headers) for headers in (old, fakes)]
        replace(world.token)
        await polled(world, times=2)
        after = [await world.ask("GET", ME, headers=headers) for headers in (old, fakes)]
        new = await world.ask("GET", ME, headers=world.bearer(Subject()))
        assert [answer.status for answer in before] == [200, 200]
        assert [answer.status for answer in after] == [401, 401]
        assert {answer.document["code"] for answer in after} == {"token_stale"}
        assert after[0].headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
        assert new.status == 200

    async def test_holds_while_a_replica_of_token_still_publishes_the_key(
        self, world: World, stolen: SigningKey
    ) -> None:
        """The set is fetched again soon, until the successor is in it."""
        new = replace(world.token, published=True)
        await polled(world, times=2)
        fetched = world.token.jwks_fetched
        await eventually(lambda: world.token.jwks_fetched > fetched + 1)
        refused = await world.ask("GET", ME, headers=forged(stolen))
        world.token.keys[:] = [new]

        async def known() -> bool:
            return (await world.ask("GET", ME, headers=world.bearer(Subject()))).status == 200

        await eventually(known, within=3)
        assert refused.status == 401

    async def test_holds_while_token_is_away_however_long_the_token_lasts(
        self, world: World, stolen: SigningKey
    ) -> None:
        """The last key set stays in use without it."""
        replace(world.token, published=True)
        await polled(world, times=2)
        world.token.away = True
        await polled(world, times=3)
        answer = await world.ask("GET", ME, headers=forged(stolen))
        assert (answer.status, answer.document["code"]) == (401, "token_stale")

    async def test_holds_after_a_restart(self, tmp_path: Path) -> None:
        """Before the first request is taken, although the key is in the first key set."""
        token = TokenService()
        stolen = token.keys[0]
        replace(token, published=True)
        async with start_world(tmp_path, token=token) as world:
            answer = await world.ask("GET", ME, headers=forged(stolen))
        assert answer.status == 401

    async def test_names_nobody_where_a_token_is_optional(
        self, world: World, stolen: SigningKey
    ) -> None:
        """A thief is refused there as well."""
        replace(world.token)
        await polled(world, times=2)
        answer = await world.ask("GET", "/maybe/x", headers=forged(stolen))
        assert (answer.status, world.shop.seen) == (401, [])

    async def test_is_no_reason_to_fetch_keys_for_every_token(self, world: World) -> None:
        """A thousand old tokens cost token nothing."""
        old = world.bearer(Subject())
        replace(world.token)
        await polled(world, times=2)
        await eventually(lambda: world.token.jwks_fetched > 1)
        fetched = world.token.jwks_fetched
        answers = [await world.ask("GET", ME, headers=old) for _ in range(100)]
        assert {answer.status for answer in answers} == {401}
        assert world.token.jwks_fetched - fetched <= 1  # at most one poll


class TestEvent:
    """What the event makes faster."""

    async def test_kills_tokens_without_any_poll(self, tmp_path: Path) -> None:
        """Token answers nothing any more."""
        bus = InProcessBus()
        async with start_world(tmp_path, bus=bus) as world:
            headers = forged(world.token.keys[0])
            alive = await world.ask("GET", ME, headers=headers)
            world.token.away = True
            await publish(bus, SigningKeyRevoked(kid="first", successor_kid=None, reason="stolen"))

            async def dead() -> bool:
                return (await world.ask("GET", ME, headers=headers)).status == 401

            await eventually(dead)
        assert alive.status == 200
