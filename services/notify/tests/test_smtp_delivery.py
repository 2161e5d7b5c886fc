"""From the ledger through SMTP to the mailbox: nothing lost, hardly ever doubled."""

from datetime import timedelta

import pytest

from services.notify.domain.messages import RetryPolicy
from services.notify.tests.kit import House, command
from services.notify.tests.smtp_sink import SmtpSink, hang_up, say, transport


class TestLedgerOverSmtp:
    """From the ledger through SMTP to the mailbox."""

    @pytest.fixture
    def smtp_house(self, house: House, sink: SmtpSink) -> House:
        """Give notify that mails to the sink."""
        house.delivery._transport = transport(sink)
        return house

    async def test_a_deferred_mail_arrives_once(self, smtp_house: House, sink: SmtpSink) -> None:
        """4xx, then success."""
        sink.rcpt.append(say("451 4.7.1 greylisted"))
        await smtp_house.receive(command(smtp_house.user_id, clock=smtp_house.clock))

        verdicts = await smtp_house.deliver_all()

        assert [verdict.state for verdict in verdicts] == ["waiting", "sent"]
        assert len(sink.received) == 1

    async def test_a_refused_mail_is_not_tried_again(
        self, smtp_house: House, sink: SmtpSink
    ) -> None:
        """5xx is final."""
        sink.data.append(say("554 5.7.1 no"))
        await smtp_house.receive(command(smtp_house.user_id, clock=smtp_house.clock))

        verdicts = await smtp_house.deliver_all()

        assert [(v.state, v.reason) for v in verdicts] == [("failed", "smtp_data_554")]
        assert [received.taken for received in sink.received] == [False]

    async def test_a_drop_after_data_makes_one_duplicate(
        self, smtp_house: House, sink: SmtpSink
    ) -> None:
        """At most, and with the same Message-ID: mailboxes know it for the same mail."""
        sink.data.append(hang_up)
        await smtp_house.receive(command(smtp_house.user_id, clock=smtp_house.clock))

        await smtp_house.deliver_all()

        first, second = sink.received
        assert first.message["Message-ID"] == second.message["Message-ID"]
        assert [event.type for event in await smtp_house.events()] == ["notify.message.sent.v1"]

    async def test_a_server_that_comes_back_gets_each_mail_once(
        self, smtp_house: House, sink: SmtpSink
    ) -> None:
        """Down, up: nothing lost, nothing doubled, and hardly an attempt spent on the outage."""
        smtp_house.delivery._policy = RetryPolicy(first=timedelta(hours=1))
        sink.stop()
        for number in range(20):
            await smtp_house.receive(
                command(smtp_house.user_id, email=f"p{number}@example.org", clock=smtp_house.clock)
            )
        await smtp_house.deliver_all()
        rows = await smtp_house.rows()
        assert {row.state for row in rows} == {"waiting"}
        assert [row.attempts for row in rows] == [1] * 5 + [0] * 15
        assert {row.reason for row in rows if row.attempts} == {"smtp_connect_lost"}

        sink.start()
        smtp_house.clock.advance(timedelta(minutes=1))
        await smtp_house.hasten_all()
        await smtp_house.deliver_all()

        expected = sorted((f"p{number}@example.org",) for number in range(20))
        assert sorted(received.recipients for received in sink.received) == expected
