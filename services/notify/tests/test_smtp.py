"""SMTP against a real server: what goes over the wire, TLS, refusals, and lost connections."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest

from services.notify.tests.smtp_sink import MAIL, SmtpSink, hang_up, say, transport
from services.notify.transports import Mail, Originator, PermanentFailure, TemporaryFailure
from services.notify.transports.smtp import compose

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


class TestWire:
    """What the server gets."""

    async def test_is_one_mail_to_one_person(self, sink: SmtpSink) -> None:
        """Text and HTML, all headers, ASCII throughout."""
        await transport(sink).send(MAIL)

        [received] = sink.received
        message = received.message
        text, html = (message.get_body((kind,)) for kind in ("plain", "html"))
        assert received.recipients == ("ada@example.org",)
        assert received.content.isascii()
        assert message["From"] == "Gatehouse <no-reply@gatehouse.example>"
        assert message["To"] == "ada@example.org"
        assert message["Subject"] == MAIL.subject
        assert message["Message-ID"] == MAIL.message_id
        assert message["Auto-Submitted"] == "auto-generated"
        assert parsedate_to_datetime(message["Date"]) == MAIL.date
        assert text is not None
        assert text.get_content().replace("\r\n", "\n") == MAIL.text
        assert html is not None
        assert html.get_content().replace("\r\n", "\n") == MAIL.html

    @pytest.mark.parametrize("local", ["=?utf-8?q?=0d=0aBcc=3a_x?=", "=?x?q?y?="])
    async def test_is_never_an_address_that_decodes(self, sink: SmtpSink, local: str) -> None:
        """An encoded word for a mailbox is refused for good, and nobody gets a mail."""
        with pytest.raises(PermanentFailure, match="unwritable_header"):
            await transport(sink).send(replace(MAIL, recipient=f"{local}@example.org"))
        assert sink.received == []

    @pytest.mark.parametrize("line_break", ["\r\n", "\n", "\r"])
    @pytest.mark.parametrize(
        "breaking",
        [
            lambda text: replace(MAIL, recipient=text),
            lambda text: replace(MAIL, subject=text),
            lambda text: replace(MAIL, message_id=text),
            lambda text: replace(MAIL, sender=Originator(text, "no-reply@gatehouse.example")),
        ],
    )
    async def test_headers_cannot_be_broken(
        self, sink: SmtpSink, breaking: Callable[[str], Mail], line_break: str
    ) -> None:
        """Even when a rule before it failed, nothing is sent (X-17)."""
        hostile = breaking(f"x@y.example{line_break}Bcc: eve@evil.example")

        with pytest.raises(ValueError, match=r"(?i)header|address|CR|LF"):
            compose(hostile).as_bytes()
        with pytest.raises((ValueError, TemporaryFailure, PermanentFailure)):
            await transport(sink).send(hostile)
        assert sink.received == []


class TestRefusals:
    """What the server says, and what it means."""

    @pytest.mark.parametrize(
        ("at", "answer", "kind", "reason"),
        [
            ("rcpt", "451 4.2.1 later", TemporaryFailure, "smtp_recipient_451"),
            ("rcpt", "550 5.1.1 <ada@example.org>?", PermanentFailure, "smtp_recipient_550"),
            ("data", "452 4.3.1 full", TemporaryFailure, "smtp_data_452"),
            ("data", "554 5.7.1 bad link #token=abc", PermanentFailure, "smtp_data_554"),
        ],
    )
    async def test_are_told_without_the_servers_words(
        self, sink: SmtpSink, at: str, answer: str, kind: type[Exception], reason: str
    ) -> None:
        """4xx is temporary, 5xx final; texts may quote addresses and links."""
        getattr(sink, at).append(say(answer))

        with pytest.raises(kind) as caught:
            await transport(sink).send(MAIL)

        assert str(caught.value) == reason
        assert caught.value.__cause__ is None

    async def test_a_lost_connection_is_temporary(self, sink: SmtpSink) -> None:
        """After DATA nobody knows: the mail is sent again."""
        sink.data.append(hang_up)

        with pytest.raises(TemporaryFailure, match="smtp_data_lost"):
            await transport(sink).send(MAIL)

    async def test_a_lost_farewell_is_no_failure(self, sink: SmtpSink) -> None:
        """The server has the mail already: sending it again would double it."""
        sink.quit.append(hang_up)

        await transport(sink).send(MAIL)

        assert [received.taken for received in sink.received] == [True]

    async def test_nobody_there_is_temporary(self, sink: SmtpSink) -> None:
        """The port answers nothing."""
        sink.stop()

        with pytest.raises(TemporaryFailure, match="smtp_connect_lost"):
            await transport(sink).send(MAIL)

    async def test_a_refused_login_is_temporary(self, sink: SmtpSink) -> None:
        """Our configuration is wrong, not the mail."""
        with pytest.raises(TemporaryFailure, match="smtp_connect"):
            await transport(sink, credentials=("user", "password")).send(MAIL)
