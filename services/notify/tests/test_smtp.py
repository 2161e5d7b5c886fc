"""SMTP against a real server: what goes over the wire, TLS, refusals, and lost connections."""

import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chassis.clock import SystemClock
from services.notify.domain import RetryPolicy
from services.notify.tests.kit import House, command
from services.notify.tests.smtp_sink import SmtpSink, hang_up, say
from services.notify.transports import Mail, Originator, PermanentFailure, TemporaryFailure
from services.notify.transports.smtp import SmtpTransport, compose

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
MAIL = Mail(
    id=UUID(int=7),
    message_id="<7@gatehouse.example>",
    sender=Originator("Gatehouse", "no-reply@gatehouse.example"),
    recipient="ada@example.org",
    subject="Confirm your e-mail address",
    text="Hello,\n\nhttps://id.example/verify-email#token=abc%3D\n.\nénd\n",
    html="<p>Hello</p>\n",
    date=NOW,
)


def transport(sink: SmtpSink, **changes: Any) -> SmtpTransport:
    """Return the way to *sink*, without TLS unless changed."""
    values: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": sink.port,
        "security": "none",
        "credentials": None,
        "ca_file": None,
        "local_hostname": "id.example",
        "timeout": timedelta(seconds=10),
    }
    return SmtpTransport(**(values | changes))


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
        assert parsedate_to_datetime(message["Date"]) == NOW
        assert text is not None
        assert text.get_content().replace("\r\n", "\n") == MAIL.text
        assert html is not None
        assert html.get_content().replace("\r\n", "\n") == MAIL.html

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


class TestTls:
    """STARTTLS with verified certificates, or no mail."""

    @pytest.fixture
    def certificate(self, tmp_path: Path) -> Path:
        """Give the path of a self-signed certificate for 127.0.0.1, its key beside it."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.example")])
        today = SystemClock().now()
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(today - timedelta(days=1))
            .not_valid_after(today + timedelta(days=1))
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]),
                critical=False,
            )
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        path = tmp_path / "certificate.pem"
        path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        path.with_suffix(".key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return path

    @pytest.fixture
    def tls_sink(self, certificate: Path) -> Iterator[SmtpSink]:
        """Give a server that wants STARTTLS and has a certificate nobody knows."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        sink = SmtpSink(tls=context)
        sink.start()
        yield sink
        sink.stop()

    async def test_an_unknown_certificate_is_refused(self, tls_sink: SmtpSink) -> None:
        """Nothing is sent; the mail waits for a trusted server."""
        with pytest.raises(TemporaryFailure, match="smtp_tls"):
            await transport(tls_sink, security="starttls").send(MAIL)

        assert tls_sink.received == []

    async def test_a_known_one_is_accepted(self, tls_sink: SmtpSink, certificate: Path) -> None:
        """SMTP_CA_FILE names it; the mail travels encrypted."""
        await transport(tls_sink, security="starttls", ca_file=certificate).send(MAIL)

        [received] = tls_sink.received
        assert received.encrypted

    async def test_another_host_is_refused(self, tls_sink: SmtpSink, certificate: Path) -> None:
        """A good certificate for a different name is a wrong one."""
        elsewhere = transport(tls_sink, security="starttls", ca_file=certificate, host="localhost")
        with pytest.raises(TemporaryFailure, match="smtp_tls"):
            await elsewhere.send(MAIL)

    async def test_no_starttls_no_mail(self, sink: SmtpSink) -> None:
        """A stripped STARTTLS does not make us talk in the open."""
        with pytest.raises(TemporaryFailure, match="smtp_connect"):
            await transport(sink, security="starttls").send(MAIL)

        assert sink.received == []

    async def test_implicit_tls_wants_tls(self, sink: SmtpSink) -> None:
        """A server that talks first in the open is refused."""
        with pytest.raises(TemporaryFailure):
            await transport(sink, security="tls", timeout=timedelta(seconds=2)).send(MAIL)

        assert sink.received == []


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
        """Down, up: nothing lost, nothing doubled."""
        smtp_house.delivery._policy = RetryPolicy(first=timedelta(hours=1))
        sink.stop()
        for number in range(5):
            await smtp_house.receive(
                command(smtp_house.user_id, email=f"p{number}@example.org", clock=smtp_house.clock)
            )
        await smtp_house.deliver_all()
        rows = await smtp_house.rows()
        assert {(row.state, row.reason) for row in rows} == {("waiting", "smtp_connect_lost")}

        sink.start()
        await smtp_house.hasten_all()
        await smtp_house.deliver_all()

        assert sorted(received.recipients for received in sink.received) == [
            (f"p{number}@example.org",) for number in range(5)
        ]
