"""An address registered by a stranger before its owner comes (X-27, ADR 0013)."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from contracts.commands import SendPasswordResetMail, SendVerificationMail
from contracts.identity import PasswordResetForced
from services.identity.tests.configuration import NEW_PASSWORD, PASSWORD
from services.identity.tests.kit import World, codes_of, secret_of

Worlds = Callable[..., AbstractAsyncContextManager[World]]
REGISTER = "/api/v1/auth/register"
VERIFY = "/api/v1/auth/email/verify"
RESEND = "/api/v1/auth/email/resend-verification"
RESET = "/api/v1/auth/password-reset/verify"
OWNER = {"email": "ada@example.com", "username": "owner", "password": NEW_PASSWORD}


class TestContested:
    """The stranger registered first; the owner registers too, with a password of their own."""

    async def test_the_answer_stays_the_seeds(self, world: World) -> None:
        """409 with the field named."""
        await world.register(verified=False)
        answer = await world.post(REGISTER, OWNER)
        assert (answer.status_code, codes_of(answer)) == (409, {("/email", "email_taken")})

    async def test_the_strangers_password_never_opens_the_account(self, world: World) -> None:
        """Not even when the owner presses the button of the first mail."""
        ada = await world.register(verified=False)
        first_link = await world.token_mailed_to(ada.email)
        await world.post(REGISTER, OWNER)
        await world.mails_settled()
        assert (await world.post(VERIFY, {"token": first_link})).status_code == 200
        refused = await world.login("ada", PASSWORD)
        assert refused.json()["code"] == "password_reset_required"
        [event] = await world.events(PasswordResetForced)
        assert (event.subject, event.actor) == (str(ada.id), None)

    async def test_the_mailbox_gets_a_link_that_sets_a_password(self, world: World) -> None:
        """It proves the address as well, and only the owner's password opens."""
        ada = await world.register(verified=False)
        await world.post(REGISTER, OWNER)
        await world.mails_settled()
        [mail] = await world.commands(SendPasswordResetMail)
        assert mail.data["email"] == ada.email
        body = {"token": secret_of(mail), "new_password": NEW_PASSWORD}
        assert (await world.post(RESET, body)).status_code == 200
        assert (await world.login(ada.email, NEW_PASSWORD)).status_code == 200
        assert (await world.login(ada.email, PASSWORD)).status_code == 401

    async def test_asking_for_the_link_again_mails_a_reset(self, world: World) -> None:
        """A verification link would leave the suspect password in place."""
        await world.register(verified=False)
        await world.post(REGISTER, OWNER)
        await world.mails_settled()
        verifications = len(await world.commands(SendVerificationMail))
        await world.post(RESEND, {"email": "ada@example.com"})
        await world.mails_settled()
        assert len(await world.commands(SendVerificationMail)) == verifications
        assert len(await world.commands(SendPasswordResetMail)) == 2

    async def test_the_same_form_sent_twice_contests_nothing(self, world: World) -> None:
        """A second click, or a retry after a lost answer: the same password."""
        ada = await world.register(verified=False)
        again = OWNER | {"username": "ada", "password": PASSWORD}
        assert (await world.post(REGISTER, again)).status_code == 409
        await world.mails_settled()
        assert await world.events(PasswordResetForced) == []
        token = await world.token_mailed_to(ada.email)
        assert (await world.post(VERIFY, {"token": token})).status_code == 200
        assert (await world.login("ada", PASSWORD)).status_code == 200

    async def test_a_proven_account_cannot_be_contested(self, world: World) -> None:
        """Nobody voids the password of somebody who has shown the mailbox."""
        await world.register()
        for _ in range(3):
            assert (await world.post(REGISTER, OWNER)).status_code == 409
        await world.mails_settled()
        assert await world.events(PasswordResetForced) == []
        assert await world.commands(SendPasswordResetMail) == []
        assert (await world.login("ada", PASSWORD)).status_code == 200

    async def test_many_claims_are_one_fact_and_few_mails(self, world: World) -> None:
        """The limit of the mailbox holds, and the password is void once."""
        await world.register(verified=False)
        for number in range(5):
            await world.post(REGISTER, OWNER | {"username": f"owner{number}"})
        await world.mails_settled()
        assert len(await world.events(PasswordResetForced)) == 1
        assert len(await world.commands(SendPasswordResetMail)) == 3


class TestReset:
    """The owner goes straight to the forgotten password."""

    async def test_leaves_nothing_of_the_stranger(self, world: World) -> None:
        """Password, links of before and devices are void."""
        ada = await world.register(verified=False)
        first_link = await world.token_mailed_to(ada.email)
        older, newer = await world.reset_token(ada.email), await world.reset_token(ada.email)
        assert (
            await world.post(RESET, {"token": newer, "new_password": NEW_PASSWORD})
        ).status_code == 200
        body = {"token": older, "new_password": "Strangers-Word-3"}
        assert (await world.post(RESET, body)).json()["code"] == "token_invalid"
        assert (await world.login("ada", PASSWORD)).status_code == 401
        # Proven by now, so the first link is spent without effect.
        assert (await world.post(VERIFY, {"token": first_link})).status_code == 200
        assert (await world.login("ada", NEW_PASSWORD)).status_code == 200


class TestPrivate:
    """REGISTRATION_PRIVATE: nobody learns by registering who has an account."""

    @pytest.mark.parametrize("verified", [True, False])
    async def test_the_answer_is_the_same(self, *, verified: bool, worlds: Worlds) -> None:
        """202 for a free and for a taken address."""
        async with worlds(registration_private=True) as world:
            await world.make("ada")
            if not verified:
                await world.execute("UPDATE users SET is_verified = false")
            answers = [
                await world.post(REGISTER, OWNER | {"email": email, "username": name})
                for email, name in (("ada@example.com", "one"), ("new@example.com", "two"))
            ]
            assert {(a.status_code, a.content) for a in answers} == {
                (202, b'{"status":"accepted"}')
            }

    async def test_a_username_asked_for_is_gone_either_way(self, worlds: Worlds) -> None:
        """Or the next who asks for it would learn whether the account was made."""
        async with worlds(registration_private=True) as world:
            await world.make("ada")
            for email, name in (("ada@example.com", "one"), ("new@example.com", "two")):
                await world.post(REGISTER, OWNER | {"email": email, "username": name})
                probe = OWNER | {"email": f"probe-{name}@example.com", "username": name}
                answer = await world.post(REGISTER, probe)
                assert codes_of(answer) == {("/username", "username_taken")}
            bob = await world.make("bob")
            renamed = await world.call(
                "PATCH", "/api/v1/users/me", {"username": "one"}, principal=bob.principal()
            )
            assert renamed.status_code == 409

    async def test_a_taken_username_is_told(self, worlds: Worlds) -> None:
        """Usernames are shown to others anyway; it says nothing about a mailbox."""
        async with worlds(registration_private=True) as world:
            await world.make("ada")
            for email in ("ada@example.com", "new@example.com"):
                answer = await world.post(REGISTER, OWNER | {"email": email, "username": "ada"})
                assert (answer.status_code, codes_of(answer)) == (
                    409,
                    {("/username", "username_taken")},
                )

    async def test_logging_in_does_not_tell_either(self, worlds: Worlds) -> None:
        """An account that is not verified answers, and locks, like a wrong password."""
        async with worlds(registration_private=True) as world:
            await world.make("ada")
            said = []
            for email, name in (("ada@example.com", "one"), ("new@example.com", "two")):
                await world.post(REGISTER, OWNER | {"email": email, "username": name})
                answers = [await world.login(email, NEW_PASSWORD) for _ in range(6)]
                said.append([(a.status_code, a.json()["code"]) for a in answers])
            assert said[0] == said[1]
            assert said[0] == [(401, "invalid_credentials")] * 5 + [(403, "account_locked")]
