"""MAIL_TRANSPORT=sendgrid-smtp against a local server with STARTTLS and AUTH."""

import json
from pathlib import Path

from services.notify.app import _smtp
from services.notify.settings import NotifySettings
from services.notify.tests.smtp_sink import MAIL, SmtpSink
from services.notify.tests.test_settings import GOOD


async def test_logs_in_with_the_key_and_leaves_links_alone(
    tls_sink: SmtpSink, certificate: Path
) -> None:
    """The user is `apikey`; X-SMTPAPI switches every tracking off, as SendGrid documents it."""
    preset = {
        "mail_transport": "sendgrid-smtp",
        "sendgrid_api_key": "SG.key",
        "smtp_host": "127.0.0.1",
        "smtp_port": tls_sink.port,
        "smtp_ca_file": certificate,
    }

    await _smtp(NotifySettings(**(GOOD | preset))).send(MAIL)

    [received] = tls_sink.received
    filters = json.loads(received.message["X-SMTPAPI"])["filters"]
    assert tls_sink.logins == [(b"apikey", b"SG.key")]
    assert received.encrypted
    assert all(len(line) < 200 for line in received.content.splitlines())
    assert received.message["Message-ID"] == MAIL.message_id
    assert sorted(filters) == ["clicktrack", "ganalytics", "opentrack", "subscriptiontrack"]
    assert {entry["settings"]["enable"] for entry in filters.values()} == {0}
    assert filters["clicktrack"]["settings"]["enable_text"] is False
