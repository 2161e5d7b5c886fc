"""How identity is configured."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from chassis.crypto import b64encode
from chassis.rates import Rate
from chassis.settings import complaints
from services.identity.settings import IdentitySettings

KEY = b64encode(b"k" * 32)
NEEDED = {
    "DATABASE_URL": "postgresql+asyncpg://app@localhost/identity",
    "ASSERTION_SECRETS_FROM_GATEWAY": KEY,
    "ASSERTION_SECRETS_FROM_TOKEN": KEY,
    "ASSERTION_SECRETS_TO_TOKEN": KEY,
    "IDENTITY_KEY": KEY,
    "MAIL_SECRETS_KEYS": KEY,
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Give an environment with what is needed and nothing else of ours."""
    for name in IdentitySettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


class TestSettings:
    """The environment, read once."""

    def test_have_the_seeds_defaults(self, environment: pytest.MonkeyPatch) -> None:
        """The seed's numbers stand."""
        del environment
        settings = IdentitySettings.read()
        assert (settings.max_login_attempts, settings.lockout_duration_minutes) == (5, 30)
        assert settings.rate_limit_password_reset == Rate(3, timedelta(hours=1))
        assert settings.port == 8101

    def test_read_the_seeds_syntax(self, environment: pytest.MonkeyPatch) -> None:
        """Limits as the gateway reads them too, peppers and flags as text."""
        environment.setenv("RATE_LIMIT_PASSWORD_RESET", "7000000 / day")
        environment.setenv("PASSWORD_PEPPERS", f"k2:{KEY},k1:{KEY}")
        environment.setenv("REQUIRE_UPPERCASE", "false")
        settings = IdentitySettings.read()
        assert settings.rate_limit_password_reset == Rate(7_000_000, timedelta(days=1))
        assert [kid for kid, _ in settings.password_peppers] == ["k2", "k1"]
        assert settings.password_rules["require_uppercase"] is False

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("RATE_LIMIT_PASSWORD_RESET", "often"),
            ("MAIL_SECRETS_KEYS", b64encode(b"k" * 33)),
            ("IDENTITY_KEY", "short"),
            ("PASSWORD_PEPPERS", "nokid"),
            ("MIN_PASSWORD_LENGTH", "4"),
            ("BOOTSTRAP_ADMIN_EMAIL", "root@example.com"),
        ],
    )
    def test_name_what_is_wrong_without_its_value(
        self, name: str, value: str, environment: pytest.MonkeyPatch
    ) -> None:
        """A complaint shows the variable, never what it held."""
        environment.setenv(name, value)
        with pytest.raises(ValidationError) as refusal:
            IdentitySettings.read()
        lines = complaints(refusal.value)
        assert len(lines) == 1
        assert name.split("_", maxsplit=1)[0] in lines[0]
        assert value not in lines[0]

    def test_keep_secrets_out_of_their_own_picture(self, environment: pytest.MonkeyPatch) -> None:
        """Printing the settings tells nothing."""
        environment.setenv("PASSWORD_PEPPERS", f"k1:{KEY}")
        assert "kkkk" not in repr(IdentitySettings.read())
