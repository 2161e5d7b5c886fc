"""Taking a change of address back: POST /api/v1/users/me/email/revert (ADR 0013)."""

from datetime import timedelta
from typing import Any

from chassis.testing import FixedClock
from contracts.commands import SendEmailChangeNotice, SendPasswordResetMail
from contracts.identity import PasswordResetForced, UserEmailChanged
from services.identity.tests.configuration import NEW_PASSWORD, PASSWORD
from services.identity.tests.kit import Somebody, World, at_once, codes_of, secret_of
from services.identity.tests.test_email_change import NEW, ask, confirm, confirmation_token

REVERT = "/api/v1/users/me/email/revert"


async def way_back(world: World, email: str) -> str:
    """Return the newest token mailed to *email* that takes a change back."""
    mails = await world.commands(SendEmailChangeNotice)
    return secret_of([mail for mail in mails if mail.data["email"] == email][-1])


async def revert(world: World, token: str) -> Any:
    """Press the button behind the link mailed to the previous address."""
    return await world.post(REVERT, {"token": token})


async def move(world: World, who: Somebody, email: str = NEW) -> None:
    """Ask for another address and confirm it."""
    assert (await ask(world, who, email)).status_code == 202
    assert (await confirm(world, await confirmation_token(world, email))).status_code == 200


class TestRevert:
    """The owner of the previous address says: not me."""

    async def test_gives_the_address_back_and_leaves_a_safe_state(self, world: World) -> None:
        """The password is void, sessions end urgently, a reset link goes to the old address."""
        ada = await world.register()
        await move(world, ada)
        answer = await revert(world, await way_back(world, ada.email))
        assert (answer.status_code, answer.json()) == (200, {"status": "reverted"})
        assert await world.value("SELECT email FROM users") == ada.email
        back = (await world.events(UserEmailChanged))[-1]
        assert (back.data["email"], back.data["cause"]) == (ada.email, "revert")
        [forced] = await world.events(PasswordResetForced)
        assert forced.subjectversion == await world.value("SELECT version FROM users") == 5
        urgent = "SELECT urgent FROM outbox WHERE routing_key = :type"
        assert await world.value(urgent, type=PasswordResetForced.type) is True
        refused = await world.login("ada", PASSWORD)
        assert refused.json()["code"] == "password_reset_required"

    async def test_only_the_mailed_link_opens_the_account_again(self, world: World) -> None:
        """Devices are strangers, and the reset leads in."""
        ada = await world.register()
        device = (await world.login("ada", PASSWORD)).json()["device_token"]
        await move(world, ada)
        await revert(world, await way_back(world, ada.email))
        [mail] = await world.commands(SendPasswordResetMail)
        assert mail.data["email"] == ada.email
        body = {"token": secret_of(mail), "new_password": NEW_PASSWORD}
        assert (await world.post("/api/v1/auth/password-reset/verify", body)).status_code == 200
        assert (await world.login("ada", NEW_PASSWORD)).status_code == 200
        for _ in range(5):
            await world.login("ada", "wrong")
        locked = await world.login("ada", NEW_PASSWORD, device_token=device)
        assert locked.json()["code"] == "account_locked"

    async def test_works_before_the_change_is_confirmed(self, world: World) -> None:
        """The new address cannot confirm any more; the password was known to somebody."""
        ada = await world.register()
        await ask(world, ada)
        token = await confirmation_token(world)
        assert (await revert(world, await way_back(world, ada.email))).status_code == 200
        assert (await confirm(world, token)).json()["code"] == "token_invalid"
        assert await world.events(UserEmailChanged) == []
        assert len(await world.events(PasswordResetForced)) == 1

    async def test_works_once(self, world: World) -> None:
        """A second press finds nothing to take back."""
        ada = await world.register()
        await move(world, ada)
        token = await way_back(world, ada.email)
        answers = [await revert(world, token) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 400]
        assert answers[1].json()["code"] == "token_invalid"

    async def test_fifty_at_once_have_one_effect(self, world: World) -> None:
        """One conditional UPDATE decides."""
        ada = await world.register()
        await move(world, ada)
        token = await way_back(world, ada.email)
        answers = await at_once(50, lambda _n: revert(world, token))
        assert sorted(answer.status_code for answer in answers) == [200] + [400] * 49
        assert len(await world.events(PasswordResetForced)) == 1
        assert len(await world.commands(SendPasswordResetMail)) == 1

    async def test_a_week_and_no_longer(self, world: World, clock: FixedClock) -> None:
        """Seven days from the notice."""
        ada = await world.register()
        await move(world, ada)
        token = await way_back(world, ada.email)
        clock.advance(timedelta(days=7))
        assert (await revert(world, token)).status_code == 400
        clock.advance(timedelta(seconds=-1))
        assert (await revert(world, token)).status_code == 200

    async def test_outlives_a_thief_who_moves_on(self, world: World, clock: FixedClock) -> None:
        """The first notice leads home from wherever; the thief's own way back is closed."""
        ada = await world.register()
        await move(world, ada, "thief@example.org")
        clock.advance(timedelta(minutes=1))
        await move(world, ada, "thief2@example.org")
        assert (await revert(world, await way_back(world, ada.email))).status_code == 200
        assert await world.value("SELECT email FROM users") == ada.email
        again = await revert(world, await way_back(world, "thief@example.org"))
        assert again.json()["code"] == "token_invalid"
        assert await world.value("SELECT email FROM users") == ada.email

    async def test_nobody_can_take_the_address_meanwhile(
        self, world: World, clock: FixedClock
    ) -> None:
        """It is held for a week, against registration and against other accounts."""
        ada = await world.register()
        await move(world, ada)
        body = {"email": ada.email, "username": "thief", "password": PASSWORD}
        taken = await world.post("/api/v1/auth/register", body)
        assert (taken.status_code, codes_of(taken)) == (409, {("/email", "email_taken")})
        bob = await world.register("bob")
        await ask(world, bob, ada.email)
        refused = await confirm(world, await confirmation_token(world, ada.email))
        assert codes_of(refused) == {("/email", "email_taken")}
        clock.advance(timedelta(days=7))
        assert (await world.post("/api/v1/auth/register", body)).status_code == 201

    async def test_the_owner_may_move_back_at_any_time(self, world: World) -> None:
        """The address is held for this very account."""
        ada = await world.register()
        await move(world, ada)
        await move(world, ada, ada.email)
        assert await world.value("SELECT email FROM users") == ada.email

    async def test_needs_no_session_and_refuses_what_is_no_token(self, world: World) -> None:
        """Public, and alike for every wrong token."""
        await world.register()
        answer = await revert(world, "gh_er_nothing")
        assert (answer.status_code, answer.json()["code"]) == (400, "token_invalid")
        odd = await world.post(REVERT, {"token": "x", "email": "a@example.org"})
        assert codes_of(odd) == {("/email", "unknown_field")}
