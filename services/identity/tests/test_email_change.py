"""Change of address: POST /api/v1/users/me/email, confirmed by …/auth/email/verify."""

from datetime import timedelta
from typing import Any

import pytest

from chassis.testing import FixedClock
from contracts.commands import SendEmailChangeMail, SendEmailChangeNotice, SendPasswordResetMail
from contracts.identity import UserEmailChanged, UserEmailVerified
from services.identity.tests.configuration import NEW_PASSWORD, PASSWORD
from services.identity.tests.kit import Somebody, World, at_once, codes_of, secret_of

CHANGE = "/api/v1/users/me/email"
VERIFY = "/api/v1/auth/email/verify"
NEW = "countess@example.org"


async def ask(world: World, who: Somebody, email: str = NEW, password: str = PASSWORD) -> Any:
    """Ask for another address; return the answer once the worker is done."""
    body = {"email": email, "current_password": password}
    answer = await world.post(CHANGE, body, principal=who.principal())
    await world.mails_settled()
    return answer


async def confirmation_token(world: World, email: str = NEW) -> str:
    """Return the newest confirmation token mailed to *email*."""
    mails = await world.commands(SendEmailChangeMail)
    return secret_of([mail for mail in mails if mail.data["email"] == email][-1])


async def confirm(world: World, token: str) -> Any:
    """Press the button behind the link mailed to the new address."""
    return await world.post(VERIFY, {"token": token})


class TestRequest:
    """Asking for another address."""

    async def test_tells_both_addresses_and_changes_nothing_yet(self, world: World) -> None:
        """A link for the new one, a way back for the present one, for a day and for a week."""
        ada = await world.register()
        answer = await ask(world, ada)
        assert (answer.status_code, answer.json()) == (202, {"status": "accepted"})
        [mail] = await world.commands(SendEmailChangeMail)
        [notice] = await world.commands(SendEmailChangeNotice)
        assert (mail.data["email"], notice.data["email"]) == (NEW, ada.email)
        assert secret_of(mail).startswith("gh_ec_")
        assert secret_of(notice).startswith("gh_er_")
        assert mail.data["expires_at"] < notice.data["expires_at"]
        assert await world.value("SELECT email FROM users") == ada.email
        assert await world.events(UserEmailChanged) == []

    async def test_needs_the_password(self, world: World) -> None:
        """A stolen session alone moves nobody; anonymous callers are turned away."""
        ada = await world.register()
        answer = await ask(world, ada, password="wrong")
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")
        assert (await world.post(CHANGE, {})).status_code == 401
        assert await world.value("SELECT count(*) FROM email_changes") == 0

    @pytest.mark.parametrize("body", [{}, {"email": NEW}, {"email": 1, "current_password": "x"}])
    async def test_refuses_bad_bodies(self, body: Any, world: World) -> None:
        """400 before anything is verified."""
        ada = await world.register()
        answer = await world.post(CHANGE, body, principal=ada.principal())
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")

    async def test_refuses_more_fields_than_two(self, world: World) -> None:
        """Nobody verifies an address by saying so."""
        ada = await world.register()
        body = {"email": NEW, "current_password": PASSWORD, "is_verified": True}
        answer = await world.post(CHANGE, body, principal=ada.principal())
        assert codes_of(answer) == {("/is_verified", "unknown_field")}

    async def test_refuses_the_present_address(self, world: World) -> None:
        """However it is written; the attempt is settled, not left to count as a failure."""
        ada = await world.register()
        for _ in range(6):
            answer = await ask(world, ada, "ADA@Example.com")
            assert codes_of(answer) == {("/email", "email_unchanged")}
        pending = "SELECT sum(cardinality(pending)) FROM login_counters"
        assert await world.value(pending) == 0

    async def test_answers_alike_for_a_taken_address(self, world: World) -> None:
        """Only its mailbox learns more (X-06)."""
        ada, bob = await world.register("ada"), await world.register("bob")
        free, taken = await ask(world, ada), await ask(world, ada, bob.email)
        assert (free.status_code, free.content) == (taken.status_code, taken.content)
        refused = await confirm(world, await confirmation_token(world, bob.email))
        assert (refused.status_code, codes_of(refused)) == (409, {("/email", "email_taken")})
        assert await world.events(UserEmailChanged) == []

    async def test_five_changes_a_day(self, world: World, clock: FixedClock) -> None:
        """Each writes to two mailboxes; the answer says when it goes on."""
        ada = await world.register()
        for number in range(5):
            assert (await ask(world, ada, f"a{number}@example.org")).status_code == 202
        refused = await ask(world, ada, "a6@example.org")
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_email_changes")
        assert refused.headers["Retry-After"] == "86400"
        clock.advance(timedelta(days=1))
        assert (await ask(world, ada, "a6@example.org")).status_code == 202

    async def test_does_not_bomb_a_strangers_mailbox(self, world: World) -> None:
        """Three of our mails an hour, whoever asks, like every other kind."""
        for name in ("ada", "bob", "eve", "dan"):
            assert (await ask(world, await world.register(name))).status_code == 202
        assert len(await world.commands(SendEmailChangeMail)) == 3

    async def test_the_secrets_are_for_notify_alone(self, world: World) -> None:
        """Neither stands anywhere in clear."""
        await ask(world, await world.register())
        tokens = [
            secret_of((await world.commands(kind))[0])
            for kind in (SendEmailChangeMail, SendEmailChangeNotice)
        ]
        stored = await world.value("SELECT string_agg(body::text, '') FROM outbox")
        stored += await world.value("SELECT string_agg(c::text, '') FROM email_changes c")
        assert not [token for token in tokens if token in stored]


class TestConfirm:
    """Pressing the button behind the link."""

    async def test_moves_the_account(self, world: World) -> None:
        """One event of a new version with both addresses; the new one logs in, the old does not."""
        ada = await world.register()
        await ask(world, ada)
        assert (await confirm(world, await confirmation_token(world))).status_code == 200
        [event] = await world.events(UserEmailChanged)
        assert event.data == {
            "user_id": str(ada.id),
            "email": NEW,
            "previous_email": ada.email,
            "cause": "owner",
        }
        assert (event.subject, event.actor, event.subjectversion) == (str(ada.id), str(ada.id), 3)
        assert (await world.login(NEW, PASSWORD)).status_code == 200
        assert (await world.login(ada.email, PASSWORD)).status_code == 401

    async def test_twice_is_no_error_and_no_second_event(self, world: World) -> None:
        """As any link that proves an address."""
        ada = await world.register()
        await ask(world, ada)
        token = await confirmation_token(world)
        assert [(await confirm(world, token)).status_code for _ in range(2)] == [200, 200]
        assert len(await world.events(UserEmailChanged)) == 1

    async def test_fifty_at_once_have_one_effect(self, world: World) -> None:
        """Everybody hears 200, one of them did it."""
        ada = await world.register()
        await ask(world, ada)
        token = await confirmation_token(world)
        answers = await at_once(50, lambda _n: confirm(world, token))
        assert {answer.status_code for answer in answers} == {200}
        assert len(await world.events(UserEmailChanged)) == 1
        assert await world.value("SELECT version FROM users") == 3

    async def test_of_two_accounts_at_once_one_gets_the_address(self, world: World) -> None:
        """The constraint decides, with a 409 and not a crash."""
        ada, bob = await world.register("ada"), await world.register("bob")
        tokens = []
        for who in (ada, bob):
            await ask(world, who)
            tokens.append(await confirmation_token(world))
        answers = await at_once(2, lambda n: confirm(world, tokens[n]))
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        assert len(await world.events(UserEmailChanged)) == 1

    async def test_runs_out_after_a_day(self, world: World, clock: FixedClock) -> None:
        """One second before it works."""
        ada = await world.register()
        await ask(world, ada)
        token = await confirmation_token(world)
        clock.advance(timedelta(hours=24))
        assert (await confirm(world, token)).json()["code"] == "token_invalid"
        clock.advance(timedelta(seconds=-1))
        assert (await confirm(world, token)).status_code == 200

    async def test_only_the_newest_request_counts(self, world: World) -> None:
        """Asking again voids the link before."""
        ada = await world.register()
        await ask(world, ada, "first@example.org")
        first = await confirmation_token(world, "first@example.org")
        await ask(world, ada)
        assert (await confirm(world, first)).json()["code"] == "token_invalid"
        assert (await confirm(world, await confirmation_token(world))).status_code == 200

    async def test_dies_with_the_password_it_was_asked_with(self, world: World) -> None:
        """Who resets the password in time keeps the address."""
        ada = await world.register()
        await ask(world, ada)
        token = await confirmation_token(world)
        body = {"token": await world.reset_token(ada.email), "new_password": NEW_PASSWORD}
        await world.post("/api/v1/auth/password-reset/verify", body)
        assert (await confirm(world, token)).json()["code"] == "token_invalid"
        assert await world.value("SELECT email FROM users") == ada.email

    async def test_moves_nobody_who_is_out_of_service(self, world: World) -> None:
        """What an administrator locked stays where it is."""
        await ask(world, await world.register())
        await world.execute("UPDATE users SET is_locked = true")
        answer = await confirm(world, await confirmation_token(world))
        assert answer.json()["code"] == "token_invalid"

    async def test_voids_reset_links_mailed_to_the_old_address(self, world: World) -> None:
        """Whoever still reads there gets no further."""
        ada = await world.register()
        reset = await world.reset_token(ada.email)
        await ask(world, ada)
        await confirm(world, await confirmation_token(world))
        body = {"token": reset, "new_password": NEW_PASSWORD}
        answer = await world.post("/api/v1/auth/password-reset/verify", body)
        assert answer.json()["code"] == "token_invalid"
        await world.post("/api/v1/auth/password-reset", {"email": ada.email})
        await world.mails_settled()
        assert len(await world.commands(SendPasswordResetMail)) == 1

    async def test_proves_the_new_address_of_an_account_in_doubt(self, world: World) -> None:
        """It is verified afterwards, and that is told."""
        await ask(world, await world.register())
        await world.execute("UPDATE users SET is_verified = false")
        await confirm(world, await confirmation_token(world))
        assert await world.value("SELECT is_verified FROM users") is True
        assert (await world.events(UserEmailVerified))[-1].data["email"] == NEW

    @pytest.mark.parametrize("token", ["gh_ec_nothing", "gh_er_nothing", "gh_ec_"])
    async def test_refuses_what_is_no_token(self, token: str, world: World) -> None:
        """Alike for all."""
        assert (await confirm(world, token)).json()["code"] == "token_invalid"
