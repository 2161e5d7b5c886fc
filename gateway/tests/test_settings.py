"""The gateway's settings."""

import pytest

from chassis.cores import available_cores
from chassis.crypto import b64encode
from chassis.settings import load
from gateway.settings import GatewaySettings
from gateway.tests.upstreams import secret_of

KEY = b64encode(secret_of("csrf"))
COMPLETE = {
    "PUBLIC_BASE_URL": "https://auth.example.com",
    **{
        f"{name}_URL": f"http://{name.lower()}:8100"
        for name in ("IDENTITY", "TOKEN", "NOTIFY", "AUDIT")
    },
    "CSRF_KEYS": KEY,
    **{
        f"ASSERTION_SECRETS_TO_{name}": b64encode(secret_of(name))
        for name in ("IDENTITY", "TOKEN", "NOTIFY", "AUDIT")
    },
}


class TestSettings:
    """What is read from the environment."""

    def test_have_the_defaults_of_the_specification(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Names and numbers of RATE_LIMIT_*."""
        settings = configured(monkeypatch)
        rates = {name: str(rate) for name, rate in settings.rates.items()}
        assert rates["rate_limit_per_user"] == "10/minute"
        assert rates["rate_limit_per_ip"] == "50/minute"
        assert rates["rate_limit_login"] == "5/minute"
        assert rates["rate_limit_register"] == "3/minute"
        assert rates["rate_limit_password_reset"] == "3/hour"
        assert rates["rate_limit_oauth"] == "6000/minute"
        assert settings.trusted_proxies == ()
        assert settings.cors_allowed_origins == ()
        assert settings.redis_url is None

    def test_read_lists(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Comma separated."""
        settings = configured(
            monkeypatch,
            TRUSTED_PROXIES="10.0.0.0/8, 127.0.0.1",
            CORS_ALLOWED_ORIGINS="https://a.example,https://b.example:8443",
            RATE_LIMIT_LOGIN="100/hour",
            GATEWAY_REPLICAS="3",
            GATEWAY_WORKERS="2",
        )
        assert len(settings.trusted_proxies) == 2
        assert settings.cors_allowed_origins == ("https://a.example", "https://b.example:8443")
        assert str(settings.rate_limit_login) == "100/hour"
        assert settings.share == 6

    def test_take_as_many_workers_as_there_are_cores(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """GATEWAY_WORKERS=auto; limits are divided by as many."""
        settings = configured(monkeypatch, GATEWAY_WORKERS="auto")
        assert settings.gateway_workers == settings.share == available_cores()

    @pytest.mark.parametrize(
        ("name", "value", "complaint"),
        [
            ("TRUSTED_PROXIES", "*", "is not an address"),
            ("TRUSTED_PROXIES", "0.0.0.0/0", "too wide"),
            ("TRUSTED_PROXIES", "::/0", "too wide"),
            ("TRUSTED_PROXIES", "::ffff:0:0/96", "too wide"),
            ("TRUSTED_PROXIES", "10.0.0.0/8,0.0.0.0/1,128.0.0.0/1", "too wide"),
            ("RATE_LIMIT_LOGIN", "plenty", "is not a rate"),
            ("GATEWAY_WORKERS", "0", "GATEWAY_WORKERS: Input should be greater"),
            ("GATEWAY_WORKERS", "many", "GATEWAY_WORKERS: Input should be a valid integer"),
            ("CORS_ALLOWED_ORIGINS", "*", "is not an origin"),
            ("CORS_ALLOWED_ORIGINS", "https://a.example/", "is not an origin"),
            ("PUBLIC_BASE_URL", "http://auth.example.com", "must be https"),
            ("PUBLIC_BASE_URL", "https://auth.example.com/", "must be an origin"),
            ("PUBLIC_BASE_URL", "auth.example.com", "is not an http"),
            ("ASSERTION_SECRETS_TO_TOKEN", "c2hvcnQ", "at least 32 bytes"),
            ("CSRF_KEYS", "c2hvcnQ", "at least 32 bytes"),
            ("CSRF_KEYS", "", "is not set"),
            ("CSRF_KEYS", "c" * 43, "CSRF_KEYS: a key was not made at random"),
            ("ASSERTION_SECRETS_TO_AUDIT", KEY, "TO_AUDIT: shares a key with CSRF_KEYS"),
            ("ASSERTION_SECRETS_TO_NOTIFY", "", "ASSERTION_SECRETS_TO_NOTIFY: is not set"),
        ],
    )
    def test_refuse_what_is_unsafe(
        self,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        name: str,
        value: str,
        complaint: str,
    ) -> None:
        """The process exits 78 and says which setting is wrong."""
        with pytest.raises(SystemExit) as exit_:
            configured(monkeypatch, **{name: value})
        assert exit_.value.code == 78
        assert complaint in capsys.readouterr().err

    def test_complain_of_everything_that_is_unfit_for_production(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """In development the same passes: nothing of it is worth anything there."""
        unfit = {"PUBLIC_BASE_URL": "http://auth.example.com", "CSRF_KEYS": "c" * 43}
        with pytest.raises(SystemExit):
            configured(monkeypatch, **unfit)
        told = capsys.readouterr().err
        assert "CSRF_KEYS: a key was not made at random" in told
        assert "PUBLIC_BASE_URL: must be https" in told
        assert "c" * 43 not in told
        assert configured(monkeypatch, ENVIRONMENT="development", **unfit).csrf_keys

    def test_open_no_door_to_nobody(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """FORWARD_AUTH_PORT answers to TRUSTED_PROXIES alone, and there have to be some."""
        with pytest.raises(SystemExit):
            configured(monkeypatch, FORWARD_AUTH_PORT="9100")
        assert "FORWARD_AUTH_PORT: needs TRUSTED_PROXIES" in capsys.readouterr().err
        settings = configured(monkeypatch, FORWARD_AUTH_PORT="9100", TRUSTED_PROXIES="10.0.0.1")
        assert settings.doors == {"http": 8000, "forward-auth": 9100}

    def test_allow_plain_http_on_this_machine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Loopback has no network to listen in on."""
        settings = configured(monkeypatch, PUBLIC_BASE_URL="http://localhost:8000")
        assert settings.environment == "production"


def configured(monkeypatch: pytest.MonkeyPatch, **changes: str) -> GatewaySettings:
    """Load the settings from a complete environment with some changes."""
    for name, value in (COMPLETE | changes).items():
        monkeypatch.setenv(name, value)
    return load(GatewaySettings)
