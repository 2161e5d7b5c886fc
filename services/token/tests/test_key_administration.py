"""Signing keys by hand: /api/v1/admin/keys."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest

from chassis.testing import FixedClock, eventually
from chassis.testing.fixtures import MakeDatabase
from contracts.identity import UserRolesChanged
from services.token.domain.keys import MAX_REVOKED
from services.token.tests.kit import MIGRATIONS, World, run_world

KEYS = "/api/v1/admin/keys"
ROTATE = f"{KEYS}/rotate"
JWKS = "/.well-known/jwks.json"
AHEAD = timedelta(minutes=10, seconds=10)
LIFE = timedelta(minutes=20, seconds=30)


async def act(
    world: World, method: str, path: str, body: object = None, *, who: str = "admin"
) -> httpx.Response:
    """Have *who* log in and ask."""
    if who not in world.identity.accounts:
        world.identity.register(who, roles=("user", who) if who != "user" else ("user",))
    principal = await world.principal(await world.client.login(who))
    return await world.client.send(method, path, body, principal=principal)


async def revoke(world: World, kid: str, reason: str = "a laptop was stolen") -> dict[str, Any]:
    """Have an administrator revoke a key; return the answer."""
    answer = await act(world, "POST", f"{KEYS}/{kid}/revoke", {"reason": reason})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def kids(world: World) -> list[str]:
    """Return the names of the published keys, oldest first."""
    return [key["kid"] for key in (await world.send("GET", JWKS)).json()["keys"]]


async def revoked_kids(world: World) -> list[str]:
    """Return what gateways are told to trust no more."""
    return list((await world.send("GET", "/internal/v1/revocations")).json()["revoked_keys"])


class TestList:
    """GET /api/v1/admin/keys."""

    async def test_shows_each_key_and_when_the_next_one_signs(self, world: World) -> None:
        """Names, states and times; no private half, sealed or not."""
        begun = world.clock.now()
        (first,) = await kids(world)
        world.clock.advance(timedelta(days=30))
        await world.rotate()
        world.clock.advance(AHEAD)
        await world.rotate()

        answer = await act(world, "GET", KEYS)

        retired, active = answer.json()["keys"]
        assert (retired["kid"], retired["alg"], retired["state"]) == (first, "ES256", "retired")
        assert retired["leaves_at"] == _text(begun + timedelta(days=30) + AHEAD + LIFE)
        assert (active["state"], active["leaves_at"]) == ("active", None)
        assert answer.json()["next_rotation_at"] == _text(begun + timedelta(days=60) + AHEAD)
        assert answer.json()["revoked"] == []
        stored = await world.stored_keys()
        assert not any(str(key.sealed_private_key) in answer.text for key in stored[1:])
        assert (
            set(active)
            == set(retired)
            == {
                "kid",
                "alg",
                "state",
                "published_at",
                "activated_at",
                "retired_at",
                "leaves_at",
            }
        )


class TestRotate:
    """POST /api/v1/admin/keys/rotate."""

    async def test_publishes_now_and_signs_when_everybody_knows(self, world: World) -> None:
        """202 with the moment; the old key signs until then and verifies after it."""
        world.identity.register()
        (first,) = await kids(world)
        old = await world.client.login()

        answer = await act(world, "POST", ROTATE)
        both = await kids(world)
        world.clock.advance(AHEAD - timedelta(seconds=1))
        await world.rotate()
        early = await world.verify((await world.client.login())["access_token"])
        world.clock.advance(timedelta(seconds=1))
        await world.rotate()
        late = await world.verify((await world.client.login())["access_token"])

        assert answer.status_code == 202
        assert answer.json() == {
            "kid": first,
            "successor": late.kid,
            "signs_at": _text(world.clock.now()),
        }
        assert set(both) == {first, late.kid}
        assert early.kid == first
        assert (await world.verify(old["access_token"])).kid == first
        assert await kids(world) == both

    async def test_asked_twice_changes_nothing(self, world: World) -> None:
        """The same answer, one event, one successor; also from two administrators at once."""
        answers = [await act(world, "POST", ROTATE) for _ in range(2)]
        world.identity.register("other", roles=("user", "admin"))
        answers += await asyncio.gather(
            *(act(world, "POST", ROTATE, who=who) for who in ("admin", "other"))
        )

        (requested,) = await world.events("token.signing_key.rotation_requested.v1")
        admin = world.identity.accounts["admin"].user_id
        assert len({answer.text for answer in answers}) == 1
        assert len(await kids(world)) == 2
        assert requested["actor"] == str(admin)
        assert requested["data"] == {
            "kid": answers[0].json()["kid"],
            "successor_kid": answers[0].json()["successor"],
            "signs_at": answers[0].json()["signs_at"],
        }

    async def test_takes_the_successor_that_is_published_already(self, world: World) -> None:
        """Its waiting counts; none is made beside it."""
        world.clock.advance(timedelta(days=30) - AHEAD)
        await world.rotate()
        world.clock.advance(timedelta(minutes=5))
        waiting = (await kids(world))[1]

        answer = await act(world, "POST", ROTATE)

        signs_at = world.clock.now() + AHEAD - timedelta(minutes=5)
        assert (answer.json()["successor"], answer.json()["signs_at"]) == (waiting, _text(signs_at))

    async def test_each_rotation_is_asked_for_anew(self, world: World) -> None:
        """The successor signs its full time unless somebody asks again."""
        await act(world, "POST", ROTATE)
        world.clock.advance(AHEAD)
        await world.rotate()
        world.clock.advance(LIFE)
        await world.rotate()
        (active,) = await kids(world)

        again = await act(world, "POST", ROTATE)

        assert again.json()["kid"] == active
        assert len(await world.events("token.signing_key.rotation_requested.v1")) == 2


class TestRevoke:
    """POST /api/v1/admin/keys/{kid}/revoke."""

    async def test_another_key_signs_at_once(self, world: World) -> None:
        """The key is gone from the JWKS, gateways are told, and refresh tokens go on."""
        world.identity.register()
        tokens = await world.client.login()
        (stolen,) = await kids(world)

        answer = await revoke(world, stolen)

        (fresh,) = await kids(world)
        refreshed = (await world.client.refresh(tokens["refresh_token"])).json()
        assert (answer["kid"], answer["successor"]) == (stolen, fresh)
        assert answer["reason"] == "a laptop was stolen"
        assert await revoked_kids(world) == [stolen]
        assert (await world.verify(refreshed["access_token"])).kid == fresh
        assert refreshed["session_id"] == tokens["session_id"]

    async def test_is_told_with_reason_and_actor(self, world: World) -> None:
        """`revoked` and, as another key signs, `rotated`; the private half is destroyed."""
        (stolen,) = await kids(world)

        answer = await revoke(world, stolen)

        (revoked,) = await world.events("token.signing_key.revoked.v1")
        (rotated,) = await world.events("token.signing_key.rotated.v1")
        admin = str(world.identity.accounts["admin"].user_id)
        assert revoked["data"] == {
            "kid": stolen,
            "successor_kid": answer["successor"],
            "reason": "a laptop was stolen",
        }
        assert rotated["data"] == {"kid": answer["successor"], "previous_kid": stolen}
        assert (revoked["actor"], rotated["actor"]) == (admin, admin)
        assert await world.rows("SELECT 1 FROM signing_keys WHERE kid = :kid", kid=stolen) == []

    async def test_a_published_successor_takes_over(self, world: World) -> None:
        """It is known to whoever has fetched the keys since."""
        asked = (await act(world, "POST", ROTATE)).json()

        answer = await revoke(world, asked["kid"])

        assert answer["successor"] == asked["successor"]
        assert await kids(world) == [asked["successor"]]

    async def test_a_key_that_does_not_sign_has_no_successor(self, world: World) -> None:
        """Neither one that is to sign yet, nor one that signed once."""
        asked = (await act(world, "POST", ROTATE)).json()
        published = await revoke(world, asked["successor"])
        await world.rotate()
        world.clock.advance(AHEAD)
        await world.rotate()
        retired = await revoke(world, asked["kid"])

        assert (published["successor"], retired["successor"]) == (None, None)
        assert (await kids(world)).count(asked["kid"]) == 0
        assert await revoked_kids(world) == [asked["kid"], asked["successor"]]

    async def test_repeated_it_answers_the_same(self, world: World) -> None:
        """Also with another reason: one revocation, one event."""
        (stolen,) = await kids(world)

        answers = [await revoke(world, stolen, reason) for reason in ("first", "second")]

        assert answers[0] == answers[1]
        assert answers[0]["reason"] == "first"
        assert len(await world.events("token.signing_key.revoked.v1")) == 1
        assert len(await kids(world)) == 1

    async def test_every_replica_follows_by_itself(
        self, make_database: MakeDatabase, clock: FixedClock
    ) -> None:
        """None goes on signing with it for longer than a second."""
        database = await make_database("token", MIGRATIONS)
        async with run_world(database, clock) as one, run_world(database, clock) as other:
            (stolen,) = await kids(other)
            fresh = (await revoke(one, stolen))["successor"]
            other.identity.register()

            async def follows() -> bool:
                return await kids(other) == [fresh]

            await eventually(follows, within=timedelta(seconds=5))
            tokens = await other.client.login()
            assert (await other.verify(tokens["access_token"])).kid == fresh

    async def test_the_list_of_revoked_keys_is_bounded(self, world: World) -> None:
        """By number, and by time: 30 days."""
        await world.as_owner(
            "INSERT INTO revoked_signing_keys (kid, algorithm, published_at, revoked_at, reason)"
            " SELECT 'old-' || n, 'ES256', '2025-12-01Z', timestamptz '2025-12-31Z' - n * "
            "interval '1 hour', 'x' FROM generate_series(0, 50) AS n"
        )
        (stolen,) = await kids(world)
        await revoke(world, stolen)
        listed = await revoked_kids(world)
        world.clock.advance(timedelta(days=29))
        await world.keep_house()
        kept = await revoked_kids(world)
        world.clock.advance(timedelta(days=2))
        await world.keep_house()

        assert len(listed) == MAX_REVOKED == 50
        assert listed[:2] == [stolen, "old-0"]
        assert kept == [stolen]
        assert await revoked_kids(world) == []


class TestWhoMay:
    """Administrators alone."""

    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("GET", KEYS, None),
            ("POST", ROTATE, None),
            ("POST", f"{KEYS}/x/revoke", {"reason": "because"}),
        ],
    )
    @pytest.mark.parametrize("who", ["user", "moderator"])
    async def test_others_are_refused(
        self, world: World, who: str, method: str, path: str, body: object
    ) -> None:
        """403 whoever they are, 401 without a user; nothing has changed."""
        answer = await act(world, method, path, body, who=who)
        stranger = await world.client.send(method, path, body)

        assert (answer.status_code, answer.json()["code"]) == (403, "role_required")
        assert (stranger.status_code, stranger.json()["code"]) == (401, "unauthenticated")
        assert len(await kids(world)) == 1

    async def test_a_token_older_than_the_loss_of_the_role_is_no_proof(self, world: World) -> None:
        """Roles count as token knows them."""
        account = world.identity.register("admin", roles=("user", "admin"))
        principal = await world.principal(await world.client.login("admin"))
        lost = UserRolesChanged(
            user_id=account.user_id, roles=("user",), previous_roles=("admin", "user")
        )
        await world.push(world.event(lost, 2))

        answer = await world.client.send("POST", ROTATE, principal=principal)

        assert (answer.status_code, answer.json()["code"]) == (403, "role_required")


class TestBadInput:
    """What is not understood changes nothing."""

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({}, "/reason"),
            ({"reason": ""}, "/reason"),
            ({"reason": "   "}, "/reason"),
            ({"reason": "x" * 501}, "/reason"),
            ({"reason": "a\u0000b"}, "/reason"),
            ({"reason": "a\u001b[2Jb"}, "/reason"),
            ({"reason": 7}, "/reason"),
            ({"reason": "x", "successor": "mine"}, "/successor"),
        ],
    )
    async def test_a_reason_is_wanted(
        self, world: World, body: dict[str, Any], pointer: str
    ) -> None:
        """Printable, up to 500 characters, and nothing beside it."""
        (kid,) = await kids(world)

        answer = await act(world, "POST", f"{KEYS}/{kid}/revoke", body)

        assert answer.status_code == 400
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
        assert await kids(world) == [kid]

    @pytest.mark.parametrize("kid", ["nothing", "x" * 5000, "%00", "..%2F..", "%27%3B--"])
    async def test_a_key_nobody_has_is_not_found(self, world: World, kid: str) -> None:
        """404 and no event."""
        answer = await act(world, "POST", f"{KEYS}/{kid}/revoke", {"reason": "because"})

        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert await world.events("token.signing_key.revoked.v1") == []

    async def test_rotate_takes_no_choice(self, world: World) -> None:
        """An empty object or nothing."""
        chosen = await act(world, "POST", ROTATE, {"algorithm": "RS256"})
        empty = await act(world, "POST", ROTATE, {})

        assert (chosen.status_code, empty.status_code) == (400, 202)
        assert chosen.json()["errors"][0]["code"] == "unknown_field"


def _text(moment: Any) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}Z"
