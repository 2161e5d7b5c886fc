""".env.example: every setting of every deployable, explained, with its true default."""

import re
import secrets
from typing import Any

import pytest

from allinone.settings import AllInOneSettings
from chassis.crypto import b64encode
from chassis.settings import Settings
from tests.deploy.files import DEPLOYABLES, ROOT

CLASSES: dict[str, type[Settings]] = {**DEPLOYABLES, "make run": AllInOneSettings}
LINES = (ROOT / ".env.example").read_text().splitlines()
EXAMPLE = dict(line.split("=", 1) for line in LINES if line and not line.startswith("#"))
NEEDED = {"SMTP_HOST": "localhost"}
"""What a default asks for: MAIL_TRANSPORT=smtp needs a host."""


def _required(settings: type[Settings]) -> dict[str, str]:
    """Return values for everything without a default: the example's, else a secret."""
    names = [name.upper() for name, field in settings.model_fields.items() if field.is_required()]
    return {name: EXAMPLE[name] or b64encode(secrets.token_bytes(32)) for name in names} | NEEDED


def _read(
    settings: type[Settings], environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """Read the settings from this environment and nothing besides."""
    with monkeypatch.context() as patch:
        for name in EXAMPLE:
            patch.delenv(name, raising=False)
            patch.delenv(f"{name}_FILE", raising=False)
        for name, value in environment.items():
            patch.setenv(name, value)
        return settings.read().model_dump()


class TestTheExample:
    """What an operator copies."""

    def test_every_setting_stands_in_it_and_nothing_else(self) -> None:
        """A new setting without a line here fails."""
        names = {name.upper() for settings in CLASSES.values() for name in settings.model_fields}

        assert sorted(EXAMPLE) == sorted(names)

    def test_no_name_stands_twice(self) -> None:
        """The last one would win."""
        names = [line.split("=")[0] for line in LINES if line and not line.startswith("#")]

        assert len(names) == len(set(names))

    @pytest.mark.parametrize("name", CLASSES)
    def test_its_values_are_the_defaults(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Copying it whole changes nothing, so it may be trusted to tell the truth."""
        settings = CLASSES[name]
        required = _required(settings)
        changed = {"LOG_FORMAT", "PUBLIC_BASE_URL"} if settings is AllInOneSettings else set()
        copied = {key: value for key, value in EXAMPLE.items() if value and key not in changed}

        expected = _read(settings, required, monkeypatch)

        assert _read(settings, copied | required, monkeypatch) == expected

    def test_no_secret_has_a_value(self) -> None:
        """Nobody runs with a secret that the whole world has read."""
        secret = re.compile(r"SECRETS|_KEY$|_KEYS$|PASSWORD$|PEPPERS|^(DATABASE|REDIS|RABBITMQ)_")
        told = {"DATABASE_POOL_MIN", "DATABASE_POOL_MAX"}

        assert [
            name for name in EXAMPLE.keys() - told if secret.search(name) and EXAMPLE[name]
        ] == []

    def test_every_setting_is_explained(self) -> None:
        """By the comment above it, or above the group of lines it stands in."""
        explained = False
        for line in LINES:
            if not line or line.startswith("# ==="):
                explained = False
            elif line.startswith("#"):
                explained = True
            else:
                assert explained, line
