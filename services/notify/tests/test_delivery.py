"""What becomes of a mail: sent, tried again, failed or suppressed; and the secret in it."""

from datetime import timedelta

import pytest

from contracts.commands import (
    SendEmailChangeMail,
    SendEmailChangeNotice,
    SendPasswordResetMail,
    SendSecretMail,
)
from contracts.notify import MessageFailed, MessageSent, MessageSuppressed
from services.notify.domain.messages import RetryPolicy
from services.notify.tests.kit import TOKEN, House, command
from services.notify.transports import PermanentFailure, TemporaryFailure


class TestSending:
    """A due mail goes out."""

    async def test_mails_the_link_and_tells(self, house: House) -> None:
        """The token stands percent-encoded in the fragment, and an event says that it is sent."""
        await house.receive(command(house.user_id, clock=house.clock))

        await house.deliver_all()

        [mail] = house.transport.mails
        [row] = await house.rows()
        [event] = await house.events()
        assert (
            "https://id.example/verify-email#token="
            "canary-7Qx_secret%2Fof%3Fthe%3Dperson%26and%23more\n"
        ) in mail.text
        assert mail.recipient == "ada@example.org"
        assert mail.message_id == f"<{row.id}@gatehouse.example>"
        assert row.state == "sent"
        assert event.type == MessageSent.type
        assert event.subject == event.data["message_id"] == str(row.id)

    @pytest.mark.parametrize(
        ("model", "page"),
        [
            (SendPasswordResetMail, "reset-password"),
            (SendEmailChangeMail, "verify-email"),
            (SendEmailChangeNotice, "revert-email"),
        ],
    )
    async def test_each_command_leads_to_its_page(
        self, model: type[SendSecretMail], page: str, house: House
    ) -> None:
        """In text and HTML, to the address the command names."""
        await house.register()
        other = "other@example.org"
        await house.receive(
            command(house.user_id, model=model, email=other, token="abc", clock=house.clock)
        )

        await house.deliver_all()

        [mail] = house.transport.mails
        assert mail.recipient == other
        assert f"https://id.example/{page}#token=abc\n" in mail.text
        assert f'href="https://id.example/{page}#token=abc"' in mail.html

    async def test_wakes_the_workers_with_the_commit(self, house: House) -> None:
        """Nobody waits for the next poll."""
        await house.receive(command(house.user_id, clock=house.clock))

        assert house.due.is_set()


class TestFailing:
    """What goes wrong with one mail concerns that mail alone."""

    async def test_tries_again_with_the_same_message_id(self, house: House) -> None:
        """A temporary failure leaves the mail waiting."""
        await house.receive(command(house.user_id, clock=house.clock))
        house.transport.failures = [TemporaryFailure("smtp_connect_lost")]

        verdicts = await house.deliver_all()

        [row] = await house.rows()
        assert [verdict.state for verdict in verdicts] == ["waiting", "sent"]
        assert (row.attempts, row.reason) == (2, None)
        assert house.transport.mails[0].message_id == f"<{row.id}@gatehouse.example>"

    async def test_waits_before_the_next_attempt(self, house: House) -> None:
        """The due time lies in the database's future."""
        house.delivery._policy = RetryPolicy(first=timedelta(minutes=30))
        await house.receive(command(house.user_id, clock=house.clock))
        house.transport.failures = [TemporaryFailure("smtp_recipient_451")]

        await house.deliver_all()

        [row] = await house.rows()
        assert (row.state, row.reason, row.leased_until) == ("waiting", "smtp_recipient_451", None)
        assert row.next_attempt_at - row.created_at > timedelta(minutes=29)
        assert row.sealed_token is not None

    async def test_gives_up_after_the_last_attempt(self, house: House) -> None:
        """Three are allowed here."""
        await house.receive(command(house.user_id, clock=house.clock))
        house.transport.failures = [TemporaryFailure("timeout")] * 3

        await house.deliver_all()

        [row] = await house.rows()
        [event] = await house.events()
        assert (row.state, row.reason, row.attempts) == ("failed", "attempts_exhausted", 3)
        assert (event.type, event.data["reason"]) == (MessageFailed.type, "attempts_exhausted")

    async def test_a_refusal_is_final(self, house: House) -> None:
        """A permanent failure is not tried again."""
        await house.receive(command(house.user_id, clock=house.clock))
        house.transport.failures = [PermanentFailure("smtp_recipient_550")]

        await house.deliver_all()

        [event] = await house.events()
        assert house.transport.mails == []
        assert (event.type, event.data["reason"]) == (MessageFailed.type, "smtp_recipient_550")

    async def test_a_crash_is_tried_again(self, house: House) -> None:
        """An unexpected error of one mail does not stop the worker."""
        await house.receive(command(house.user_id, clock=house.clock))
        house.transport.failures = [RuntimeError("nobody expected this")]

        verdicts = await house.deliver_all()

        assert [verdict.reason for verdict in verdicts] == ["internal_error", None]

    @pytest.mark.parametrize(
        ("email", "sealed_for", "reason"),
        [
            ("ada@example.org", "another purpose", "secret_unreadable"),
            ("ada@example.org\r\nBcc: eve@evil.example", None, "address_invalid"),
            ("ada@example.org, eve@evil.example", None, "address_invalid"),
        ],
    )
    async def test_poison_fails_and_blocks_nobody(
        self, house: House, email: str, sealed_for: str | None, reason: str
    ) -> None:
        """What can never be sent is told at once; the next mail goes out."""
        await house.receive(
            command(house.user_id, email=email, sealed_for=sealed_for, clock=house.clock)
        )
        await house.receive(command(house.user_id, email="next@example.org", clock=house.clock))

        await house.deliver_all()

        failed, sent = await house.rows()
        assert (failed.state, failed.reason, failed.sealed_token) == ("failed", reason, None)
        assert sent.state == "sent"
        assert [mail.recipient for mail in house.transport.mails] == ["next@example.org"]


class TestExpiry:
    """A link that no longer works is not sent late."""

    async def test_an_expired_link_is_suppressed(self, house: House) -> None:
        """The event says why nothing came."""
        await house.receive(command(house.user_id, clock=house.clock))
        house.clock.advance(timedelta(hours=1))

        await house.deliver_all()

        [row] = await house.rows()
        [event] = await house.events()
        assert house.transport.mails == []
        assert (row.state, row.reason, row.sealed_token) == ("suppressed", "expired", None)
        assert (event.type, event.data["reason"]) == (MessageSuppressed.type, "expired")


class TestLease:
    """One mail is in one hand at a time."""

    async def test_a_lost_lease_changes_nothing(self, house: House) -> None:
        """Who comes back too late neither settles nor tells."""
        await house.receive(command(house.user_id, clock=house.clock))
        stolen = house.delivery._owner

        class Thief:
            async def send(self, _mail: object) -> None:
                house.delivery._owner = house.user_id

        house.delivery._transport = Thief()
        await house.delivery.deliver_next()

        [row] = await house.rows()
        assert (row.state, row.leased_by) == ("waiting", stolen)
        assert await house.events() == []

    async def test_the_only_process_takes_over_at_once(self, house: House) -> None:
        """What a dead predecessor held is due after its release."""
        await house.receive(command(house.user_id, clock=house.clock))
        house.transport.failures = [KeyboardInterrupt()]  # type: ignore[list-item] # a kill
        with pytest.raises(KeyboardInterrupt):
            await house.delivery.deliver_next()
        assert await house.deliver_all() == []

        await house.delivery.release_all()
        await house.deliver_all()

        assert len(house.transport.mails) == 1


class TestSecrecy:
    """The token is readable in the mail, and nowhere else."""

    async def test_leaves_no_secret_behind(
        self, house: House, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Neither logs nor events nor tables hold the canary, sent, failed or crashed."""
        caplog.set_level("DEBUG")
        for failure in (None, PermanentFailure("smtp_data_554"), ValueError(f"see {TOKEN}")):
            await house.receive(command(house.user_id, clock=house.clock))
            house.transport.failures = [failure] if failure else []
            await house.deliver_all()

        printed = capsys.readouterr()
        traces = await house.everything_stored() + caplog.text + printed.out + printed.err
        assert "message_sent" in traces or "message.sent" in traces
        assert "canary" not in traces

    async def test_stores_the_token_sealed(self, house: House) -> None:
        """Also before it is sent, a database dump tells nothing."""
        await house.receive(command(house.user_id, clock=house.clock))

        assert "canary" not in await house.everything_stored()
