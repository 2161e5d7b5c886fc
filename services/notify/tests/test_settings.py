"""Settings: what is refused, and how it is told."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from chassis.settings import complaints
from services.notify.settings import NotifySettings
from services.notify.transports.smtp import PORTS

GOOD: dict[str, Any] = {
    "database_url": "postgresql+asyncpg://notify_app:x@localhost/notify",
    "assertion_secrets_from_gateway": (bytes(32),),
    "public_base_url": "https://id.example/",
    "mail_from": "Gatehouse <no-reply@gatehouse.example>",
    "mail_secrets_keys": (bytes(32),),
    "smtp_host": "mail.example",
}

SENDGRID: dict[str, Any] = {
    "mail_transport": "sendgrid-smtp",
    "sendgrid_api_key": "SG.hush",
    "smtp_host": None,
}


def refusals(**changes: Any) -> list[str]:
    """Return the complaints about GOOD with *changes*."""
    with pytest.raises(ValidationError) as caught:
        NotifySettings(**(GOOD | changes))
    return complaints(caught.value, environ={})


class TestDefaults:
    """What stands where nothing is said."""

    def test_are_those_of_production(self) -> None:
        """SMTP with STARTTLS, half an hour at most between attempts."""
        settings = NotifySettings(**GOOD)

        assert (settings.mail_transport, settings.smtp_security) == ("smtp", "starttls")
        assert settings.public_base_url == "https://id.example"
        assert settings.sender == ("Gatehouse", "no-reply@gatehouse.example")
        assert settings.lease > settings.delivery_timeout
        assert (settings.port, settings.ops_port) == (8103, 9103)


class TestSendGrid:
    """The presets need a key and nothing else."""

    def test_the_relay_follows_from_the_key(self) -> None:
        """Host, port, TLS and user are SendGrid's."""
        settings = NotifySettings(**(GOOD | SENDGRID))

        assert settings.smtp_host == "smtp.sendgrid.net"
        assert (settings.smtp_security, PORTS[settings.smtp_security]) == ("starttls", 587)
        assert settings.smtp_credentials == ("apikey", "SG.hush")

    def test_the_api_stands_where_sendgrid_says(self) -> None:
        """No SMTP host is asked for; the lease outlasts a delivery."""
        settings = NotifySettings(**(GOOD | SENDGRID | {"mail_transport": "sendgrid-api"}))

        assert settings.sendgrid_api_url == "https://api.sendgrid.com/v3/mail/send"
        assert settings.delivery_timeout == timedelta(seconds=30)
        assert settings.lease > settings.delivery_timeout

    def test_the_key_comes_from_a_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As secrets are mounted, with the line break that editors leave; and it never prints."""
        (tmp_path / "key").write_text("SG.hush\n")
        monkeypatch.setenv("SENDGRID_API_KEY_FILE", str(tmp_path / "key"))

        settings = NotifySettings.read(**(GOOD | {"mail_transport": "sendgrid-smtp"}))

        assert settings.smtp_credentials == ("apikey", "SG.hush")
        assert "hush" not in repr(settings)


class TestRefusals:
    """What does not start."""

    @pytest.mark.parametrize(
        ("changes", "name"),
        [
            ({"mail_transport": "inbox"}, "MAIL_TRANSPORT"),
            ({"mail_transport": "console"}, "MAIL_TRANSPORT"),
            ({"mail_transport": "pigeon"}, "MAIL_TRANSPORT"),
            ({"smtp_host": None}, "SMTP_HOST"),
            ({"smtp_security": "none"}, "SMTP_SECURITY"),
            ({"smtp_username": "user"}, "SMTP_PASSWORD"),
            ({"smtp_password": "hush"}, "SMTP_PASSWORD"),
            ({"smtp_ca_file": "/nowhere/ca.pem"}, "SMTP_CA_FILE"),
            ({"mail_from": "nobody"}, "MAIL_FROM"),
            ({"mail_from": "a@b.example\r\nBcc: eve@evil.example"}, "MAIL_FROM"),
            ({"mail_from": "a@b.example, c@d.example"}, "MAIL_FROM"),
            ({"security_email": "a@b.example, c@d.example"}, "SECURITY_EMAIL"),
            ({"mail_secrets_keys": (bytes(33),)}, "MAIL_SECRETS_KEYS"),
            ({"mail_transport": "sendgrid-api"}, "SENDGRID_API_KEY"),
            ({"mail_transport": "sendgrid-smtp"}, "SENDGRID_API_KEY"),
            ({"sendgrid_api_key": "hush hush"}, "SENDGRID_API_KEY"),
            ({"sendgrid_api_key": "hush\nhush"}, "SENDGRID_API_KEY"),
            ({"sendgrid_api_key": "h\u00fcsh-hush"}, "SENDGRID_API_KEY"),
            (SENDGRID | {"smtp_username": "user", "smtp_password": "hush"}, "SMTP_USERNAME"),
            (SENDGRID | {"smtp_security": "none"}, "SMTP_SECURITY"),
            ({"sendgrid_api_url": "http://api.sendgrid.com/v3/mail/send"}, "SENDGRID_API_URL"),
            ({"sendgrid_api_url": "https://hush@evil.example/"}, "SENDGRID_API_URL"),
            ({"public_base_url": "ftp://id.example"}, "PUBLIC_BASE_URL"),
            ({"public_base_url": "https://good@evil.example"}, "PUBLIC_BASE_URL"),
            ({"public_base_url": "https://id.example/#x"}, "PUBLIC_BASE_URL"),
        ],
    )
    def test_name_the_variable(self, changes: dict[str, Any], name: str) -> None:
        """And never its value."""
        lines = refusals(**changes)

        assert [line.partition(":")[0] for line in lines] == [name]
        assert "hush" not in "".join(lines)

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
    def test_plain_text_may_stay_on_the_machine(self, host: str) -> None:
        """A relay on loopback needs no TLS."""
        assert NotifySettings(**(GOOD | {"smtp_host": host, "smtp_security": "none"}))

    def test_development_relaxes_transport_and_tls(self) -> None:
        """As the all-in-one mode and compose need it."""
        relaxed = {"environment": "development", "smtp_security": "none"}
        assert NotifySettings(**(GOOD | relaxed))
        assert NotifySettings(**(GOOD | {"environment": "development", "mail_transport": "inbox"}))
