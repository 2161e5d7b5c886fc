"""What identity's events do, in whatever order and by whatever way they come (D24, D25)."""

from dataclasses import replace
from itertools import permutations
from typing import Any
from uuid import uuid4

import pytest

from chassis.bus import Message
from chassis.testing import FixedClock, eventually
from chassis.testing.fixtures import MakeDatabase
from contracts.envelope import EVENTS_EXCHANGE, CloudEvent
from contracts.identity import (
    PasswordChanged,
    PasswordReset,
    PasswordResetForced,
    UserDeleted,
    UserDisabled,
    UserEmailVerified,
    UserEvent,
    UserLocked,
    UserRolesChanged,
)
from services.token.tests.kit import MIGRATIONS, World, run_world

ENDING: list[tuple[type[UserEvent], dict[str, Any], str]] = [
    (PasswordReset, {}, "password_reset"),
    (PasswordResetForced, {}, "password_reset_forced"),
    (PasswordChanged, {"session_id": None}, "password_changed"),
    (UserDisabled, {}, "user_disabled"),
    (UserDeleted, {}, "user_deleted"),
    (UserLocked, {"cause": "admin", "locked_until": None}, "user_locked"),
]


async def publish(world: World, event: CloudEvent) -> None:
    """Publish an event as identity's relay does, and wait until it was taken."""
    await world.bus.publish(
        [
            Message(
                id=event.id,
                exchange=EVENTS_EXCHANGE,
                routing_key=event.type,
                body=event.to_json(),
            )
        ]
    )


async def end_reasons(world: World) -> list[str]:
    """Return why sessions ended, in order."""
    return [event["data"]["reason"] for event in await world.events("token.session.ended.v1")]


class TestEndingSessions:
    """Events after which no older session may live."""

    @pytest.mark.parametrize(("kind", "facts", "reason"), ENDING)
    @pytest.mark.parametrize("way", ["push", "broker"])
    async def test_every_session_below_the_version_ends(
        self, world: World, kind: type[UserEvent], facts: dict[str, Any], reason: str, way: str
    ) -> None:
        """By HTTP and by the broker alike: refresh token dead, `sid` denied, reason told."""
        account = world.identity.register()
        tokens = await world.client.login()
        event = world.event(kind(user_id=account.user_id, **facts), 2, actor="some-admin")

        if way == "push":
            assert (await world.push(event)).status_code == 204
        else:
            await publish(world, event)

        (ended,) = await world.events("token.session.ended.v1")
        assert (await world.client.refresh(tokens["refresh_token"])).status_code == 401
        assert await world.denied_sids() == {tokens["session_id"]}
        assert (ended["data"]["reason"], ended["actor"]) == (reason, "some-admin")

    async def test_a_change_keeps_the_session_it_was_made_in(
        self, make_database: MakeDatabase, clock: FixedClock
    ) -> None:
        """The others end; the kept one refreshes on, also after an older event comes late."""
        database = await make_database("token", MIGRATIONS)
        async with run_world(database, clock, max_sessions_per_user=0) as world:
            account = world.identity.register()
            kept, other = await world.client.login(), await world.client.login()
            sid = (await world.principal(kept)).session_id
            changed = PasswordChanged(user_id=account.user_id, session_id=sid)

            await world.push(world.event(changed, 3))
            await world.push(world.event(PasswordReset(user_id=account.user_id), 2))

            assert (await world.client.refresh(kept["refresh_token"])).status_code == 200
            assert (await world.client.refresh(other["refresh_token"])).status_code == 401
            assert await end_reasons(world) == ["password_changed"]

    async def test_a_kept_session_of_somebody_else_keeps_nothing(self, world: World) -> None:
        """The session named in the event must be the user's own."""
        account, bob = world.identity.register(), world.identity.register("bob")
        tokens, _ = await world.client.login(), await world.client.login("bob")
        sid = (await world.principal(tokens)).session_id

        await world.push(world.event(PasswordChanged(user_id=bob.user_id, session_id=sid), 2))
        await world.push(world.event(PasswordReset(user_id=account.user_id), 2))

        assert sorted(await end_reasons(world)) == ["password_changed", "password_reset"]

    async def test_a_lock_after_failures_touches_nothing(self, world: World) -> None:
        """A stranger's guesses end nobody's session (D6)."""
        account = world.identity.register()
        tokens = await world.client.login()
        locked = UserLocked(user_id=account.user_id, cause="failures", locked_until=None)

        await world.push(world.event(locked, 2))

        assert (await world.client.refresh(tokens["refresh_token"])).status_code == 200
        assert await world.denied() == []

    async def test_a_late_event_does_not_touch_a_newer_session(self, world: World) -> None:
        """A session made after the reset lives when the reset's event arrives at last."""
        account = world.identity.register()
        await world.client.login()
        account.version = 2
        newer = await world.client.login()

        await world.push(world.event(PasswordReset(user_id=account.user_id), 2))

        assert (await world.client.refresh(newer["refresh_token"])).status_code == 200
        assert await end_reasons(world) == ["replaced"]

    async def test_a_deleted_user_leaves_no_personal_data(self, world: World) -> None:
        """Address, device and user agent are gone from live and ended sessions."""
        account = world.identity.register()
        await world.client.login()
        await world.client.login()

        await world.push(world.event(UserDeleted(user_id=account.user_id), 2))

        rows = await world.rows("SELECT device, client_address, user_agent FROM sessions")
        assert [tuple(row) for row in rows] == [(None, None, None)] * 2

    async def test_a_deleted_user_leaves_no_dead_letter(self, world: World) -> None:
        """An event that could not be understood is not kept longer than the account."""
        account = world.identity.register()
        later = world.event(UserDisabled(user_id=account.user_id), 2)
        await publish(world, replace(later, data={"user_id": [str(account.user_id)]}))
        dead = "SELECT body FROM inbox WHERE state = 'dead'"
        await eventually(lambda: world.rows(dead))

        await world.push(world.event(UserDeleted(user_id=account.user_id), 3))

        assert await world.rows(dead) == []


class TestRoles:
    """A change of roles reaches access tokens that are already out."""

    async def test_older_tokens_are_denied_and_a_refresh_has_the_new_roles(
        self, world: World
    ) -> None:
        """`sub` with `ver` below the change; the session lives, the new token passes."""
        account = world.identity.register(roles=("admin",))
        tokens = await world.client.login()
        changed = UserRolesChanged(
            user_id=account.user_id, roles=("user",), previous_roles=("admin",)
        )

        await world.push(world.event(changed, 2))
        answer = await world.client.refresh(tokens["refresh_token"])

        (entry,) = await world.denied()
        (event,) = await world.events("token.token.revoked.v1")
        token = await world.verify(answer.json()["access_token"])
        assert (entry["kind"], entry["value"]) == ("sub", str(account.user_id))
        assert (await world.verify(tokens["access_token"])).ver < entry["below_version"]
        assert token.ver >= entry["below_version"]
        assert token.roles == {"user"}
        assert event["data"]["below_version"] == entry["below_version"] == 2

    async def test_a_token_never_claims_a_newer_version_than_its_roles(self, world: World) -> None:
        """A change whose event comes after a newer one of another kind still denies old roles."""
        account = world.identity.register(roles=("admin",))
        tokens = await world.client.login()
        sid = (await world.principal(tokens)).session_id
        demoted = UserRolesChanged(
            user_id=account.user_id, roles=("user",), previous_roles=("admin",)
        )

        await world.push(world.event(PasswordChanged(user_id=account.user_id, session_id=sid), 3))
        between = (await world.client.refresh(tokens["refresh_token"])).json()
        await world.push(world.event(demoted, 2))

        (entry,) = await world.denied()
        token = await world.verify(between["access_token"])
        assert (token.roles, token.ver) == (frozenset({"admin"}), 1)
        assert token.ver < entry["below_version"]


class TestOrder:
    """Subjects move only upwards: the order of events changes nothing."""

    async def test_every_order_ends_alike(
        self, make_database: MakeDatabase, clock: FixedClock
    ) -> None:
        """All permutations of four events leave the same subject and the same live sessions."""
        database = await make_database("token", MIGRATIONS)
        outcomes = set()
        async with run_world(database, clock, max_sessions_per_user=0) as world:
            for order in permutations(range(4)):
                name = f"user-{order}"
                account = world.identity.register(name, roles=("admin",))
                await world.client.login(name)
                account.version = 5
                await world.client.login(name)
                user = {"user_id": account.user_id}
                history = [
                    world.event(
                        UserRolesChanged(**user, roles=("moderator",), previous_roles=()), 2
                    ),
                    world.event(PasswordReset(**user), 3),
                    world.event(UserDisabled(**user), 4),
                    world.event(UserRolesChanged(**user, roles=("user",), previous_roles=()), 6),
                ]

                for place in order:
                    assert (await world.push(history[place])).status_code == 204

                (subject,) = await world.rows(
                    "SELECT roles, roles_version, status, status_version, sessions_valid_from"
                    " FROM subjects WHERE user_id = :id",
                    id=account.user_id,
                )
                live = await world.rows(
                    "SELECT subject_version FROM sessions WHERE ended_at IS NULL AND user_id = :id",
                    id=account.user_id,
                )
                outcomes.add((str(subject), str(live)))

        assert outcomes == {("(['user'], 6, 'active', 5, 4)", "[(5,)]")}


class TestBothWays:
    """The push and the broker meet the same inbox row."""

    async def test_an_event_by_both_ways_has_one_effect(self, world: World) -> None:
        """Pushed, published, pushed again: one end, one row."""
        account = world.identity.register()
        await world.client.login()
        event = world.event(PasswordReset(user_id=account.user_id), 2)

        answers = [await world.push(event)]
        await publish(world, event)
        answers.append(await world.push(event))

        rows = await world.rows("SELECT queue, state FROM inbox")
        assert [answer.status_code for answer in answers] == [204, 204]
        assert await end_reasons(world) == ["password_reset"]
        assert [tuple(row) for row in rows] == [("token.identity", "done")]

    async def test_the_own_relay_brings_session_events_to_the_bus(self, world: World) -> None:
        """What the push caused leaves through the outbox."""
        account = world.identity.register()
        await world.client.login()

        await world.push(world.event(PasswordReset(user_id=account.user_id), 2))

        async def all_published() -> bool:
            return not await world.rows("SELECT 1 FROM outbox WHERE published_at IS NULL")

        await eventually(all_published)

    async def test_an_event_without_a_version_is_kept_for_a_person(self, world: World) -> None:
        """It can never be applied: a dead letter, and the next event is not held up."""
        account = world.identity.register()
        tokens = await world.client.login()
        broken = world.event(PasswordReset(user_id=account.user_id), 2)
        document = {k: v for k, v in broken.to_dict().items() if k != "subjectversion"}

        answer = await world.send(
            "POST", "/internal/v1/subject-changes", document, issuer="identity"
        )

        rows = await world.rows("SELECT state FROM inbox")
        assert (answer.status_code, [row.state for row in rows]) == (204, ["dead"])
        assert (await world.client.refresh(tokens["refresh_token"])).status_code == 200

    async def test_only_identity_may_push(self, world: World) -> None:
        """The gateway, and through it the world, may not."""
        event = world.event(PasswordReset(user_id=uuid4()), 2)

        answer = await world.send("POST", "/internal/v1/subject-changes", event.to_dict())

        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")

    async def test_events_of_other_kinds_are_not_accepted(self, world: World) -> None:
        """400, and nothing is stored."""
        event = world.event(UserEmailVerified(user_id=uuid4(), email="a@b.example"), 2)

        answer = await world.push(event)

        assert (answer.status_code, answer.json()["code"]) == (400, "event_not_accepted")
        assert await world.rows("SELECT 1 FROM inbox") == []
