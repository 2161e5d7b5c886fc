"""Registration: POST /api/v1/auth/register."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from contracts.commands import SendPasswordResetMail, SendVerificationMail
from contracts.identity import UserRegistered
from services.identity.tests.configuration import PASSWORD
from services.identity.tests.kit import World, at_once, codes_of, secret_of

REGISTER = "/api/v1/auth/register"
ADA = {"email": "Ada@Example.com", "username": "Ada", "password": PASSWORD}

Worlds = Callable[..., AbstractAsyncContextManager[World]]


class TestRegister:
    """A new account."""

    async def test_answers_201_with_the_account(self, world: World) -> None:
        """The seed's fields, and no others."""
        answer = await world.post(REGISTER, ADA)
        assert answer.status_code == 201
        body = answer.json()
        assert set(body) == {"id", "email", "username", "is_verified", "created_at"}
        assert (body["email"], body["username"]) == ("Ada@example.com", "ada")
        assert body["is_verified"] is False

    async def test_stores_role_token_event_and_mail_together(self, world: World) -> None:
        """One transaction, everything in it."""
        user_id = (await world.post(REGISTER, ADA)).json()["id"]
        assert await world.value("SELECT role FROM user_roles") == "user"
        [event] = await world.events(UserRegistered)
        assert event.subject == event.actor == user_id
        assert (event.subjectversion, event.ip) == (1, "198.51.100.7")
        [mail] = await world.commands(SendVerificationMail)
        assert secret_of(mail).startswith("gh_ev_")
        assert await world.value("SELECT count(*) FROM email_verifications") == 1

    async def test_no_secret_is_stored_or_told_in_clear(self, world: World) -> None:
        """Neither password nor token stand anywhere."""
        await world.post(REGISTER, ADA)
        token = await world.token_mailed_to("Ada@example.com")
        assert str(await world.value("SELECT password_hash FROM users")).startswith("$argon2id$")
        bodies = await world.value("SELECT string_agg(body::text, '') FROM outbox")
        assert PASSWORD not in bodies
        assert token not in bodies

    @pytest.mark.parametrize(
        ("other", "expected"),
        [
            ({"email": "ADA@EXAMPLE.COM", "username": "bob"}, {("/email", "email_taken")}),
            (
                {"email": "bob@example.com", "username": "ADA"},
                {("/username", "username_taken")},
            ),
            (
                {"email": "ada@example.com", "username": "ada"},
                {("/email", "email_taken"), ("/username", "username_taken")},
            ),
        ],
    )
    async def test_names_the_field_that_is_taken(
        self, other: dict[str, str], expected: set[tuple[str, str]], world: World
    ) -> None:
        """409, whatever the case."""
        await world.post(REGISTER, ADA)
        answer = await world.post(REGISTER, {**ADA, **other})
        assert answer.status_code == 409
        assert answer.json()["code"] == "already_taken"
        assert codes_of(answer) == expected
        assert await world.value("SELECT count(*) FROM users") == 1

    async def test_fifty_at_once_make_one_account(self, world: World) -> None:
        """The constraint decides, the others hear 409."""
        answers = await at_once(50, lambda _n: world.post(REGISTER, ADA))
        statuses = sorted(answer.status_code for answer in answers)
        assert statuses == [201] + [409] * 49
        assert await world.value("SELECT count(*) FROM users") == 1
        assert len(await world.commands(SendVerificationMail)) == 1

    async def test_holds_the_password_against_the_policy(self, world: World) -> None:
        """One pointer, one code per rule, nothing stored."""
        answer = await world.post(REGISTER, {**ADA, "password": "short"})
        assert answer.status_code == 400
        assert codes_of(answer) == {
            ("/password", "password_too_short"),
            ("/password", "password_needs_uppercase"),
            ("/password", "password_needs_number"),
            ("/password", "password_needs_special"),
        }
        assert await world.value("SELECT count(*) FROM users") == 0


class TestPrivateMode:
    """REGISTRATION_PRIVATE=true hides which addresses have an account (D8)."""

    async def test_known_and_unknown_addresses_look_alike(self, worlds: Worlds) -> None:
        """202 with the same body."""
        async with worlds(registration_private=True) as world:
            first = await world.post(REGISTER, ADA)
            again = await world.post(REGISTER, {**ADA, "username": "bob"})
            assert (first.status_code, again.status_code) == (202, 202)
            assert first.content == again.content
            assert await world.value("SELECT count(*) FROM users") == 1

    async def test_the_owner_gets_a_mail_instead(self, worlds: Worlds) -> None:
        """An unproven owner the verification again, a proven one a reset link."""
        async with worlds(registration_private=True) as world:
            await world.post(REGISTER, ADA)
            await world.post(REGISTER, {**ADA, "username": "bob"})
            await world.mails_settled()
            assert len(await world.commands(SendVerificationMail)) == 2
            token = await world.token_mailed_to("Ada@example.com")
            await world.post("/api/v1/auth/email/verify", {"token": token})
            await world.post(REGISTER, {**ADA, "username": "carl"})
            await world.mails_settled()
            assert len(await world.commands(SendPasswordResetMail)) == 1

    async def test_a_taken_username_is_still_told(self, worlds: Worlds) -> None:
        """Usernames are public, and nobody could register otherwise."""
        async with worlds(registration_private=True) as world:
            await world.post(REGISTER, ADA)
            body: dict[str, Any] = {**ADA, "email": "bob@example.com"}
            answer = await world.post(REGISTER, body)
            assert codes_of(answer) == {("/username", "username_taken")}
