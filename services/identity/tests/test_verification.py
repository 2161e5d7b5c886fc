"""Verification: POST /api/v1/auth/email/verify and …/resend-verification."""

from datetime import timedelta

from chassis.testing import FixedClock
from contracts.commands import SendVerificationMail
from contracts.identity import UserEmailVerified, VerificationRequested
from services.identity.tests.kit import World, at_once

VERIFY = "/api/v1/auth/email/verify"
RESEND = "/api/v1/auth/email/resend-verification"


class TestVerify:
    """The button behind the mailed link."""

    async def test_proves_the_address_once(self, world: World) -> None:
        """Pressing again is no error and no second event."""
        ada = await world.register(verified=False)
        token = await world.token_mailed_to(ada.email)
        answers = [await world.post(VERIFY, {"token": token}) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 200]
        [event] = await world.events(UserEmailVerified)
        assert (event.subject, event.subjectversion) == (str(ada.id), 2)
        assert await world.value("SELECT version FROM users") == 2

    async def test_fifty_at_once_have_one_effect(self, world: World) -> None:
        """Everybody hears 200, one of them did it."""
        ada = await world.register(verified=False)
        token = await world.token_mailed_to(ada.email)
        answers = await at_once(50, lambda _n: world.post(VERIFY, {"token": token}))
        assert {answer.status_code for answer in answers} == {200}
        assert len(await world.events(UserEmailVerified)) == 1
        assert await world.value("SELECT version FROM users") == 2

    async def test_refuses_what_is_no_token(self, world: World) -> None:
        """Unknown tokens are all alike."""
        answer = await world.post(VERIFY, {"token": "gh_ev_nothing"})
        assert answer.status_code == 400
        assert answer.json()["code"] == "token_invalid"

    async def test_refuses_a_token_a_second_too_old(self, world: World, clock: FixedClock) -> None:
        """24 hours, not more."""
        ada = await world.register(verified=False)
        token = await world.token_mailed_to(ada.email)
        clock.advance(timedelta(hours=24))
        answer = await world.post(VERIFY, {"token": token})
        assert answer.json()["code"] == "token_invalid"
        assert await world.value("SELECT is_verified FROM users") is False

    async def test_accepts_a_token_in_its_last_second(
        self, world: World, clock: FixedClock
    ) -> None:
        """Up to the promised time it works."""
        ada = await world.register(verified=False)
        token = await world.token_mailed_to(ada.email)
        clock.advance(timedelta(hours=24) - timedelta(seconds=1))
        assert (await world.post(VERIFY, {"token": token})).status_code == 200


class TestResend:
    """A new link for whoever asks."""

    async def test_mails_a_new_link_and_voids_the_old(self, world: World) -> None:
        """Only the newest link works until the address is proven, then each is a 200."""
        ada = await world.register(verified=False)
        old = await world.token_mailed_to(ada.email)
        assert (await world.post(RESEND, {"email": "ADA@example.com"})).status_code == 200
        await world.mails_settled()
        new = await world.token_mailed_to(ada.email)
        assert (await world.post(VERIFY, {"token": old})).status_code == 400
        assert (await world.post(VERIFY, {"token": new})).status_code == 200
        assert (await world.post(VERIFY, {"token": old})).status_code == 200
        assert len(await world.events(VerificationRequested)) == 1

    async def test_answers_alike_for_everybody(self, world: World) -> None:
        """Unproven, proven and unknown addresses look the same."""
        await world.register("ada", verified=False)
        await world.register("bob")
        mails = len(await world.commands(SendVerificationMail))
        answers = [
            await world.post(RESEND, {"email": f"{name}@example.com"})
            for name in ("ada", "bob", "nobody")
        ]
        await world.mails_settled()
        assert {(answer.status_code, answer.content) for answer in answers} == {
            (200, b'{"status":"accepted"}')
        }
        assert len(await world.commands(SendVerificationMail)) == mails + 1

    async def test_three_mails_an_hour_and_no_more(self, world: World, clock: FixedClock) -> None:
        """The fourth request is answered, not mailed; an hour later it is again."""
        ada = await world.register(verified=False)
        for _ in range(5):
            assert (await world.post(RESEND, {"email": ada.email})).status_code == 200
        await world.mails_settled()
        assert len(await world.commands(SendVerificationMail)) == 1 + 3
        clock.advance(timedelta(hours=1))
        await world.post(RESEND, {"email": ada.email})
        await world.mails_settled()
        assert len(await world.commands(SendVerificationMail)) == 1 + 4
