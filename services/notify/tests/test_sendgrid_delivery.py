"""From the ledger through SendGrid's API: nothing lost, hardly ever doubled, nothing told."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa

from chassis.testing import eventually
from chassis.testing.databases import FreshDatabase
from contracts.envelope import COMMANDS_EXCHANGE
from services.notify.models import messages
from services.notify.tests.kit import House, command, rows_of
from services.notify.tests.running import run, settings_of
from services.notify.tests.sendgrid_fake import KEY, FakeSendGrid, hang_up, refuse
from services.notify.transports.sendgrid import SendGridTransport


@pytest.fixture
async def sendgrid_house(house: House, fake: FakeSendGrid) -> AsyncIterator[House]:
    """Give notify that mails to the stand-in."""
    async with SendGridTransport(
        url=fake.url, api_key=KEY, timeout=timedelta(seconds=10), clock=house.clock
    ) as transport:
        house.delivery._transport = transport
        yield house


class TestLedgerOverSendGrid:
    """From the ledger to SendGrid."""

    async def test_honours_a_wait(self, sendgrid_house: House, fake: FakeSendGrid) -> None:
        """The mail is not due before the time the server named."""
        fake.answers.append(refuse(429, headers={"Retry-After": "120"}))
        await sendgrid_house.receive(command(sendgrid_house.user_id, clock=sendgrid_house.clock))

        verdicts = await sendgrid_house.deliver_all()

        wait = sa.select(messages.c.next_attempt_at - sa.func.now())
        [(left,)] = await rows_of(sendgrid_house.database, wait)
        assert [(v.state, v.reason) for v in verdicts] == [("waiting", "sendgrid_429")]
        assert timedelta(seconds=60) < left <= timedelta(seconds=120)

    async def test_a_wait_concerns_every_mail(
        self, sendgrid_house: House, fake: FakeSendGrid
    ) -> None:
        """One 429 is enough: nobody else knocks until the wait is over."""
        fake.answers.append(refuse(429, headers={"Retry-After": "120"}))
        for _ in range(5):
            await sendgrid_house.receive(
                command(sendgrid_house.user_id, clock=sendgrid_house.clock)
            )

        await sendgrid_house.deliver_all()
        sendgrid_house.clock.advance(timedelta(seconds=119))
        assert await sendgrid_house.deliver_all() == []
        assert len(fake.posted) == 1

        sendgrid_house.clock.advance(timedelta(seconds=1))
        await sendgrid_house.deliver_all()
        assert len(fake.accepted) == 4

    async def test_a_lost_answer_repeats_the_message_id(
        self, sendgrid_house: House, fake: FakeSendGrid
    ) -> None:
        """Mailboxes know the second for the same mail."""
        fake.answers.append(hang_up)
        await sendgrid_house.receive(command(sendgrid_house.user_id, clock=sendgrid_house.clock))

        await sendgrid_house.deliver_all()

        first, second = fake.posted
        [row] = await sendgrid_house.rows()
        expected = f"<{row.id}@gatehouse.example>"
        assert first.document["headers"] == second.document["headers"]
        assert second.document["headers"]["Message-ID"] == expected
        assert second.document["custom_args"] == {"gatehouse_message_id": expected}

    async def test_a_refusal_is_final(self, sendgrid_house: House, fake: FakeSendGrid) -> None:
        """The reason is a stable word; neither key nor token stands anywhere."""
        fake.answers.append(refuse(413))
        await sendgrid_house.receive(command(sendgrid_house.user_id, clock=sendgrid_house.clock))

        await sendgrid_house.deliver_all()

        [row] = await sendgrid_house.rows()
        assert (row.state, row.reason) == ("failed", "sendgrid_413")
        assert "canary" not in await sendgrid_house.everything_stored()


class TestAsDeployed:
    """MAIL_TRANSPORT=sendgrid-api, from the command on the bus to the request."""

    async def test_mails_and_keeps_its_key_to_itself(
        self,
        fresh: FreshDatabase,
        fake: FakeSendGrid,
        capsys: pytest.CaptureFixture[str],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """Through a refused key to the mail; logs and settings never print the key."""
        caplog.set_level("DEBUG")
        settings = settings_of(
            fresh,
            mail_transport="sendgrid-api",
            sendgrid_api_key=KEY,
            sendgrid_api_url=fake.url,
            mail_retry_first_seconds=0.01,
        )
        fake.answers += [refuse(401), refuse(503)]
        async with run(settings) as notify:
            await notify.publish(command(uuid4()), COMMANDS_EXCHANGE)
            await eventually(lambda: fake.accepted)

        told = "".join(capsys.readouterr()) + caplog.text
        assert "sendgrid_401" in told
        assert "canary" not in told + repr(settings)
        assert len(fake.accepted) == 1
