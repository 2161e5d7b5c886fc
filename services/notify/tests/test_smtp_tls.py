"""SMTP with TLS: verified certificates, or no mail."""

import ssl
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chassis.clock import SystemClock
from services.notify.tests.smtp_sink import MAIL, SmtpSink, transport
from services.notify.transports import TemporaryFailure


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
