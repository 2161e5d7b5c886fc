"""What Compose and the overlays tell each deployable is complete, known and accepted."""

import secrets
from pathlib import Path

import pytest

from chassis.crypto import b64encode
from tests.deploy.files import DEPLOYABLES, MOUNT, compose, environment, of_kind, pod, secrets_maker

PLACES = ("compose", "overlays/dev", "overlays/production")
EXTERNAL = {
    "notify": {"smtp_username": "mailer", "smtp_password": "given-by-the-relay"},
    "audit": {"archive_s3_access_key_id": "an-id", "archive_s3_secret_access_key": "a-secret"},
}
"""Secrets of a production without bundled parts."""


def _told(place: str, name: str) -> dict[str, str]:
    """Return the environment of a deployable in one place."""
    if place == "compose":
        variables = compose()["services"][name]["environment"]
        return {key: str(value) for key, value in variables.items()}
    return environment(place, name)


def _files(name: str) -> dict[str, str]:
    """Return the secrets mounted into a deployable: values that no two names share."""
    made: dict[str, str] = secrets_maker().render(lambda _: b64encode(secrets.token_bytes(32)))[
        name
    ]
    return made | EXTERNAL.get(name, {})


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", DEPLOYABLES)
class TestEveryDeployable:
    """In each of the three places it runs in."""

    def test_it_starts_with_what_it_is_told(
        self, place: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No complaint, no exit 78."""
        for file, content in _files(name).items():
            (tmp_path / file).write_text(content)
        for variable, value in _told(place, name).items():
            monkeypatch.setenv(variable, value.replace(MOUNT, str(tmp_path)))

        settings = DEPLOYABLES[name].read()

        assert settings.host == "0.0.0.0"  # noqa: S104 - in a container, where it has to
        assert settings.rabbitmq_url is not None

    def test_every_name_is_a_setting(self, place: str, name: str) -> None:
        """A misspelt variable would silently change nothing."""
        shared = {field for settings in DEPLOYABLES.values() for field in settings.model_fields}
        known = {variable.upper() for variable in shared}

        assert {variable.removesuffix("_FILE") for variable in _told(place, name)} <= known

    def test_no_secret_stands_in_the_environment(self, place: str, name: str) -> None:
        """Secrets are files; Compose passes the first administrator's password through."""
        secret = {"database_url", "redis_url", "rabbitmq_url", *_files(name)}

        assert not {field.upper() for field in secret} & _told(place, name).keys()


@pytest.mark.parametrize("place", ["overlays/dev", "overlays/production"])
@pytest.mark.parametrize("name", DEPLOYABLES)
def test_its_ports_are_those_it_listens_on(place: str, name: str) -> None:
    """Probes, the service and the process agree."""
    told = environment(place, name)
    (container,) = pod(of_kind(place, "Deployment")[name])["containers"]
    ports = {port["name"]: str(port["containerPort"]) for port in container["ports"]}

    assert ports == {"http": told["PORT"], "ops": told["OPS_PORT"]}
