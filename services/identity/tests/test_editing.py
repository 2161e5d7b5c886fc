"""Editing: PATCH /api/v1/admin/users/{id}."""

import asyncio
from typing import Any

import pytest

from contracts.commands import SendVerificationMail
from contracts.identity import UserEmailChanged, UserEmailVerified, UserUpdated
from services.identity.tests.configuration import NEW_PASSWORD, PASSWORD
from services.identity.tests.kit import Somebody, World, codes_of, secret_of
from services.identity.tests.test_email_change import NEW, ask, confirm, confirmation_token
from services.identity.tests.test_email_revert import revert, way_back

USERS = "/api/v1/admin/users"


async def edit(world: World, admin: Somebody, target: Somebody, **fields: Any) -> Any:
    """Have *admin* change *fields* of *target*."""
    principal = admin.principal("user", "admin")
    return await world.call("PATCH", f"{USERS}/{target.id}", fields, principal=principal)


class TestNames:
    """What an account is called."""

    async def test_a_username_is_changed_and_told(self, world: World) -> None:
        """Folded; the event names the field, by the administrator."""
        boss, ada = await world.make("boss", "admin"), await world.make("ada")
        answer = await edit(world, boss, ada, username="Countess")
        assert (answer.status_code, answer.json()["username"]) == (200, "countess")
        [event] = await world.events(UserUpdated)
        assert (event.data["fields"], event.actor) == (["username"], str(boss.id))
        assert (event.subject, event.subjectversion) == (str(ada.id), answer.json()["version"])
        assert (await world.login("countess", PASSWORD)).status_code == 200

    async def test_what_stays_the_same_is_no_change(self, world: World) -> None:
        """No event, no version, no mail."""
        boss, ada = await world.make("boss", "admin"), await world.make("ada")
        answer = await edit(world, boss, ada, username="ADA", email=ada.email, is_verified=True)
        assert (answer.status_code, answer.json()["version"]) == (200, 2)
        assert await world.value("SELECT count(*) FROM outbox") == 0

    @pytest.mark.parametrize(
        ("fields", "errors"),
        [
            ({"username": "bob"}, {("/username", "username_taken")}),
            ({"email": "BOB@example.com"}, {("/email", "email_taken")}),
            (
                {"email": "bob@example.com", "username": "bob"},
                {("/email", "email_taken"), ("/username", "username_taken")},
            ),
        ],
    )
    async def test_taken_ones_are_409_with_the_field_named(
        self, fields: Any, errors: Any, world: World
    ) -> None:
        """Each of them, and nothing is changed."""
        boss, ada = await world.make("boss", "admin"), await world.make("ada")
        await world.make("bob")
        answer = await edit(world, boss, ada, **fields)
        assert (answer.status_code, codes_of(answer)) == (409, errors)
        assert await world.value("SELECT count(*) FROM outbox") == 0

    async def test_of_two_at_once_one_gets_the_name(self, world: World) -> None:
        """The other hears 409."""
        boss = await world.make("boss", "admin")
        people = [await world.make(name) for name in ("ada", "bob")]
        answers = await asyncio.gather(
            *(edit(world, boss, somebody, username="wanted") for somebody in people)
        )
        assert sorted(answer.status_code for answer in answers) == [200, 409]


class TestAddress:
    """An address by an administrator's word."""

    async def test_is_not_proven_by_itself(self, world: World) -> None:
        """A link goes to it; until it is pressed there is no login. The previous one is told."""
        boss, ada = await world.make("boss", "admin"), await world.make("ada")
        answer = await edit(world, boss, ada, email=NEW)
        assert (answer.json()["email"], answer.json()["is_verified"]) == (NEW, False)
        [event] = await world.events(UserEmailChanged)
        assert (event.data["previous_email"], event.data["cause"]) == (ada.email, "admin")
        assert (await world.login("ada", PASSWORD)).json()["code"] == "email_not_verified"
        [mail] = await world.commands(SendVerificationMail)
        assert mail.data["email"] == NEW
        verify = {"token": secret_of(mail)}
        assert (await world.post("/api/v1/auth/email/verify", verify)).status_code == 200
        assert (await world.login(NEW, PASSWORD)).status_code == 200

    async def test_is_proven_when_the_administrator_says_so(self, world: World) -> None:
        """No mail to the new one, and the account stays usable."""
        boss, ada = await world.make("boss", "admin"), await world.make("ada")
        answer = await edit(world, boss, ada, email=NEW, is_verified=True)
        assert answer.json()["is_verified"] is True
        assert await world.commands(SendVerificationMail) == []
        assert (await world.login(NEW, PASSWORD)).status_code == 200

    async def test_voids_what_was_mailed_to_the_previous_one(self, world: World) -> None:
        """Reset links, links that prove it, changes under way and the way back."""
        boss, ada = await world.make("boss", "admin"), await world.register("ada", verified=False)
        old_link = await world.token_mailed_to(ada.email)
        reset = {"token": await world.reset_token(ada.email), "new_password": NEW_PASSWORD}
        await ask(world, ada)
        tokens = await confirmation_token(world), await way_back(world, ada.email)
        await edit(world, boss, ada, email="desk@example.org")
        assert (
            await world.post("/api/v1/auth/email/verify", {"token": old_link})
        ).status_code == 400
        assert (await world.post("/api/v1/auth/password-reset/verify", reset)).status_code == 400
        assert (await confirm(world, tokens[0])).status_code == 400
        assert (await revert(world, tokens[1])).status_code == 400

    @pytest.mark.parametrize("is_verified", [True, False])
    async def test_can_be_declared_proven_or_not(self, *, is_verified: bool, world: World) -> None:
        """Each with its own fact, once."""
        boss, ada = await world.make("boss", "admin"), await world.make("ada")
        since = None if not is_verified else "2026-01-01"
        await world.execute(
            "UPDATE users SET is_verified = :other, unverified_since = CAST(:since AS text)"
            "::timestamptz WHERE username = 'ada'",
            other=not is_verified,
            since=since,
        )
        for _ in range(2):
            answer = await edit(world, boss, ada, is_verified=is_verified)
            assert answer.json()["is_verified"] is is_verified
        kind = UserEmailVerified if is_verified else UserUpdated
        assert len(await world.events(kind)) == 1
        pending = "SELECT unverified_since IS NOT NULL FROM users WHERE username = 'ada'"
        assert await world.value(pending) is not is_verified


class TestBounds:
    """What cannot be done this way."""

    @pytest.mark.parametrize(
        ("fields", "error"),
        [
            ({"roles": ["admin"]}, ("/roles", "unknown_field")),
            ({"password": "New-Password-1"}, ("/password", "unknown_field")),
            ({"password_hash": "x"}, ("/password_hash", "unknown_field")),
            ({"username": "a b"}, ("/username", "invalid_username")),
            ({"email": "nobody"}, ("/email", "invalid_email")),
            ({"is_verified": "yes"}, ("/is_verified", "bool_type")),
            ({"username": None}, ("/username", "null_field")),
            ({}, ("", "nothing_to_change")),
        ],
    )
    async def test_everything_else_is_refused(
        self, fields: Any, error: tuple[str, str], world: World
    ) -> None:
        """Roles and passwords have their own doors."""
        boss, ada = await world.make("boss", "admin"), await world.make("ada")
        answer = await edit(world, boss, ada, **fields)
        assert (answer.status_code, error in codes_of(answer)) == (400, True), answer.text
        assert await world.value("SELECT count(*) FROM outbox") == 0

    @pytest.mark.parametrize("fields", [{"is_verified": False}, {"email": NEW}])
    async def test_the_last_administrator_stays_able_to_log_in(
        self, fields: Any, world: World
    ) -> None:
        """An address that is not proven lets nobody in."""
        boss = await world.make("boss", "admin")
        answer = await edit(world, boss, boss, **fields)
        assert (answer.status_code, answer.json()["code"]) == (409, "last_administrator")
        proven = await edit(world, boss, boss, email=NEW, is_verified=True)
        assert proven.status_code == 200

    async def test_an_unverified_administrator_does_not_count(self, world: World) -> None:
        """Somebody must be left who can log in."""
        boss, other = await world.make("boss", "admin"), await world.make("other", "admin")
        assert (await edit(world, boss, other, is_verified=False)).status_code == 200
        answer = await world.post(
            f"{USERS}/{boss.id}/disable", principal=boss.principal("user", "admin")
        )
        assert answer.json()["code"] == "last_administrator"
