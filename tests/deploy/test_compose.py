"""docker-compose.yml: the real parts, hardened, and only two pages published."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.files import DEPLOYABLES, MOUNT, ROOT, SERVICES, compose, interpolated_compose
from tests.deploy.files import secrets_maker as maker

ALL: dict[str, dict[str, Any]] = compose()["services"]
JOBS = {"secrets", "databases", *(f"migrate-{service}" for service in SERVICES)}
SERVERS = sorted(ALL.keys() - JOBS)
MOUNTS = {
    name: volume.split(":")
    for name, service in ALL.items()
    for volume in service.get("volumes", [])
    if MOUNT in volume
}


def test_it_is_valid_by_the_compose_specification(tmp_path: Path) -> None:
    """Checked against the published JSON schema."""
    file = tmp_path / "docker-compose.yml"
    file.write_text(interpolated_compose())

    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    result = subprocess.run(  # noqa: S603 - fixed words
        [*command, str(file)], check=False, capture_output=True, text=True, timeout=60
    )

    assert result.returncode == 0, result.stdout


class TestEveryContainer:
    """The same hardening as in the cluster."""

    @pytest.mark.parametrize("name", ALL)
    def test_it_is_restricted(self, name: str) -> None:
        """Nothing to write to, no capability, no way to gain one."""
        service = ALL[name]

        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["pids_limit"] > 0
        assert service["mem_limit"]
        assert not service.keys() & {"privileged", "cap_add", "pid", "ipc", "devices"}

    @pytest.mark.parametrize("name", sorted(ALL.keys() - {"secrets"}))
    def test_it_is_not_root(self, name: str) -> None:
        """A number, so that no image decides."""
        user, _, group = ALL[name]["user"].partition(":")

        assert int(user) > 0
        assert int(group) > 0

    def test_the_one_that_is_root_reaches_nothing(self) -> None:
        """It owns fresh volumes, and has no network."""
        assert ALL["secrets"]["network_mode"] == "none"

    @pytest.mark.parametrize("name", SERVERS)
    def test_a_server_is_probed_and_stopped_with_patience(self, name: str) -> None:
        """Others wait for its health, and it may finish what it began."""
        service = ALL[name]

        assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
        assert service["stop_grace_period"]
        assert service["restart"] == "unless-stopped"

    @pytest.mark.parametrize("name", sorted(JOBS))
    def test_a_job_runs_once(self, name: str) -> None:
        """It ends, and those that need it wait for that."""
        assert ALL[name]["restart"] == "no"
        waiting = [
            other
            for other, service in ALL.items()
            if service.get("depends_on", {}).get(name)
            == {"condition": "service_completed_successfully"}
        ]
        assert waiting


class TestNetworks:
    """Who can reach whom."""

    def test_only_the_gateway_and_the_mail_page_are_published(self) -> None:
        """On the loopback alone."""
        published = {name: service["ports"] for name, service in ALL.items() if "ports" in service}

        assert published == {
            "gateway": ["127.0.0.1:8000:8000"],
            "mailpit": ["127.0.0.1:8025:8025"],
        }

    def test_only_the_published_two_stand_in_an_open_network(self) -> None:
        """All other networks are internal: no way out to the internet."""
        open_ones = {name for name, how in compose()["networks"].items() if not how.get("internal")}
        inside = {name for name in ALL if open_ones & set(ALL[name].get("networks", []))}

        assert inside == {"gateway", "mailpit"}

    def test_each_part_is_reached_by_those_who_use_it(self) -> None:
        """The picture of docs/architecture.md."""
        members = {
            network: {name for name in ALL if network in ALL[name].get("networks", [])}
            for network in compose()["networks"]
        }

        jobs = {"databases", *(f"migrate-{service}" for service in SERVICES)}
        assert members == {
            "public": {"gateway"},
            "mail-page": {"mailpit"},
            "calls": {*DEPLOYABLES},
            "database": {"postgres", *jobs, *SERVICES},
            "broker": {"rabbitmq", *DEPLOYABLES},
            "cache": {"redis", "gateway", "token"},
            "mail": {"mailpit", "notify"},
        }


class TestStart:
    """Each container starts when what it needs is there."""

    def test_a_health_that_is_waited_for_is_defined(self) -> None:
        """Otherwise `docker compose up` would wait for ever."""
        for service in ALL.values():
            for name, how in service.get("depends_on", {}).items():
                assert name in ALL
                if how["condition"] == "service_healthy":
                    assert "healthcheck" in ALL[name]

    @pytest.mark.parametrize("name", SERVICES)
    def test_a_service_follows_its_migration(self, name: str) -> None:
        """The migration follows the databases, these follow PostgreSQL."""
        after = {"condition": "service_completed_successfully"}

        assert ALL[name]["depends_on"][f"migrate-{name}"] == after
        assert ALL[f"migrate-{name}"]["depends_on"] == {"databases": after}
        assert ALL["databases"]["depends_on"]["postgres"] == {"condition": "service_healthy"}


class TestArchive:
    """What leaves audit's database."""

    def test_it_is_kept_in_a_volume_that_audit_may_write(self) -> None:
        """The image has the folder it is mounted over, owned by the container's user."""
        (volume,) = (v for v in ALL["audit"]["volumes"] if not v.startswith("secrets-"))
        name, _, folder = volume.partition(":")
        owner, _, group = ALL["audit"]["user"].partition(":")

        assert name in compose()["volumes"]
        assert ALL["audit"]["environment"]["ARCHIVE_URL"] == f"file://{folder}"
        made = f"install --directory --owner={owner} --group={group} --mode=0700 {folder}"
        assert made in (ROOT / "Dockerfile").read_text()


class TestSecrets:
    """Files, made once, each seen by its holder alone."""

    def test_each_holder_mounts_its_own_folder_read_only(self) -> None:
        """The maker alone sees them all."""
        expected = {
            name: name.replace("migrate-", "") + ("-migrate" if "migrate" in name else "")
            for name in ALL.keys() - {"secrets", "mailpit"}
        }

        assert {name: volume for name, (volume, _, _) in MOUNTS.items()} == {
            name: f"secrets-{holder}" for name, holder in expected.items()
        }
        assert {mode for _, _, mode in MOUNTS.values()} == {"ro"}

    def test_the_maker_has_a_volume_for_each_holder(self) -> None:
        """Nothing it writes is lost with its container."""
        holders = {*maker().render(str), "ledger"}

        wanted = {f"secrets-{holder}:/secrets/{holder}" for holder in holders}
        assert set(ALL["secrets"]["volumes"]) == wanted
        assert {volume.split(":")[0] for volume in wanted} <= compose()["volumes"].keys()

    @pytest.mark.parametrize("name", sorted(MOUNTS))
    def test_every_file_that_is_named_is_made(self, name: str) -> None:
        """A `…_FILE` without its file would end the service with exit 78."""
        made = maker().render(str)[MOUNTS[name][0].removeprefix("secrets-")]
        named = [
            value
            for variable, value in ALL[name].get("environment", {}).items()
            if variable.endswith("_FILE")
        ]

        assert {Path(value).parent.as_posix() for value in named} <= {MOUNT}
        assert {Path(value).name for value in named} <= made.keys()

    def test_the_files_it_mounts_are_in_the_repository(self) -> None:
        """Compose would make an empty folder of a missing one."""
        assert all((ROOT / how["file"]).is_file() for how in compose()["configs"].values())
