"""Password reset: POST /api/v1/auth/password-reset and …/verify."""

from datetime import timedelta

from chassis.testing import FixedClock
from contracts.commands import SendPasswordResetMail
from contracts.identity import (
    PasswordReset,
    PasswordResetRequested,
    UserEmailVerified,
    UserUnlocked,
)
from services.identity.tests.configuration import NEW_PASSWORD, PASSWORD
from services.identity.tests.kit import World, at_once, codes_of, secret_of

FORGOT = "/api/v1/auth/password-reset"
RESET = "/api/v1/auth/password-reset/verify"


async def reset(world: World, token: str, password: str = NEW_PASSWORD) -> int:
    """Set a new password and return the status."""
    answer = await world.post(RESET, {"token": token, "new_password": password})
    return answer.status_code


class TestForgot:
    """Asking for a link."""

    async def test_answers_alike_and_mails_only_accounts(self, world: World) -> None:
        """Known and unknown addresses cost one row each."""
        await world.register()
        answers = [
            await world.post(FORGOT, {"email": f"{name}@example.com"}) for name in ("ada", "nobody")
        ]
        await world.mails_settled()
        assert {(answer.status_code, answer.content) for answer in answers} == {
            (200, b'{"status":"accepted"}')
        }
        assert len(await world.commands(SendPasswordResetMail)) == 1
        assert len(await world.events(PasswordResetRequested)) == 1

    async def test_keeps_no_address_once_it_is_settled(self, world: World) -> None:
        """Only a keyed hash remains, to count by."""
        await world.post(FORGOT, {"email": "nobody@example.com"})
        await world.mails_settled()
        assert await world.value("SELECT count(*) FROM mail_requests WHERE mailbox IS NULL") == 1

    async def test_three_mails_an_hour_whoever_asks(self, world: World) -> None:
        """Resend and reset count together: nobody's mailbox is bombed with ours."""
        ada = await world.register()
        for number in range(5):
            await world.post(FORGOT, {"email": ada.email}, address=f"203.0.113.{number}")
        await world.mails_settled()
        assert len(await world.commands(SendPasswordResetMail)) == 3

    async def test_at_most_three_links_live(self, world: World, clock: FixedClock) -> None:
        """The fourth voids the first."""
        ada = await world.register()
        first = await world.reset_token(ada.email)
        await world.execute("UPDATE mail_requests SET done_at = done_at - interval '2 hours'")
        for _ in range(3):
            clock.advance(timedelta(seconds=1))
            await world.reset_token(ada.email)
        live = "SELECT count(*) FROM password_resets WHERE voided_at IS NULL"
        assert await world.value(live) == 3
        assert await reset(world, first) == 400

    async def test_an_account_out_of_service_gets_none(self, world: World) -> None:
        """A link would lead nowhere."""
        ada = await world.register()
        await world.execute("UPDATE users SET is_disabled = true")
        await world.post(FORGOT, {"email": ada.email})
        await world.mails_settled()
        assert await world.commands(SendPasswordResetMail) == []


class TestReset:
    """Following the link."""

    async def test_sets_the_password_and_tells_token_urgently(self, world: World) -> None:
        """Old password dead, new one good, one urgent event of a higher version."""
        ada = await world.register()
        token = await world.reset_token(ada.email)
        assert await reset(world, token) == 200
        assert (await world.login("ada", PASSWORD)).status_code == 401
        assert (await world.login("ada", NEW_PASSWORD)).status_code == 200
        [event] = await world.events(PasswordReset)
        assert (event.subject, event.subjectversion) == (str(ada.id), 3)
        urgent = "SELECT urgent FROM outbox WHERE routing_key = :type"
        assert await world.value(urgent, type=PasswordReset.type) is True

    async def test_works_once(self, world: World) -> None:
        """The second use is refused."""
        ada = await world.register()
        token = await world.reset_token(ada.email)
        assert [await reset(world, token), await reset(world, token)] == [200, 400]

    async def test_fifty_at_once_have_one_effect(self, world: World) -> None:
        """One conditional UPDATE decides."""
        ada = await world.register()
        token = await world.reset_token(ada.email)
        body = {"token": token, "new_password": NEW_PASSWORD}
        answers = await at_once(50, lambda _n: world.post(RESET, body))
        assert sorted(answer.status_code for answer in answers) == [200] + [400] * 49
        assert len(await world.events(PasswordReset)) == 1
        assert await world.value("SELECT version FROM users") == 3

    async def test_voids_the_other_links_when_used(self, world: World) -> None:
        """Until then each of them works."""
        ada = await world.register()
        older, newer = await world.reset_token(ada.email), await world.reset_token(ada.email)
        assert await reset(world, newer) == 200
        assert await reset(world, older) == 400

    async def test_a_refused_password_does_not_spend_the_link(self, world: World) -> None:
        """Same verdict as at registration, and another try."""
        ada = await world.register()
        token = await world.reset_token(ada.email)
        answer = await world.post(RESET, {"token": token, "new_password": "Gatehouse2026!"})
        assert codes_of(answer) == {("/new_password", "password_contains_personal")}
        assert await reset(world, token) == 200

    async def test_runs_out_after_an_hour(self, world: World, clock: FixedClock) -> None:
        """One second before it works, then no more."""
        ada = await world.register()
        token = await world.reset_token(ada.email)
        clock.advance(timedelta(hours=1))
        assert await reset(world, token) == 400
        assert await world.events(PasswordReset) == []

    async def test_clears_a_failure_lock(self, world: World) -> None:
        """The owner gets in at once (X-03)."""
        ada = await world.register()
        for _ in range(5):
            await world.login("ada", "wrong")
        assert (await world.login("ada", PASSWORD)).status_code == 403
        assert await reset(world, await world.reset_token(ada.email)) == 200
        assert (await world.login("ada", NEW_PASSWORD)).status_code == 200
        [event] = await world.events(UserUnlocked)
        assert event.data["cause"] == "reset"
        assert await world.value("SELECT locked_until FROM users") is None

    async def test_proves_the_address_besides(self, world: World) -> None:
        """Whoever follows the link owns the mailbox; a stranger's password is gone (X-27)."""
        ada = await world.register(verified=False)
        assert await reset(world, await world.reset_token(ada.email)) == 200
        assert (await world.login("ada", NEW_PASSWORD)).status_code == 200
        [event] = await world.events(UserEmailVerified)
        assert event.subjectversion == await world.value("SELECT version FROM users") == 3

    async def test_the_secret_is_for_notify_alone(self, world: World) -> None:
        """The token stands nowhere in clear."""
        ada = await world.register()
        token = await world.reset_token(ada.email)
        bodies = await world.value("SELECT string_agg(body::text, '') FROM outbox")
        assert token not in bodies
        mail = (await world.commands(SendPasswordResetMail))[0]
        assert secret_of(mail) == token
