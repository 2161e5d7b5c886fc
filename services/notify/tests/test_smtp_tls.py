"""SMTP with TLS: verified certificates, or no mail."""

from datetime import timedelta
from pathlib import Path

import pytest

from services.notify.tests.smtp_sink import MAIL, SmtpSink, transport
from services.notify.transports import TemporaryFailure


class TestTls:
    """STARTTLS with verified certificates, or no mail."""

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
