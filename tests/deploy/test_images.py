"""The image recipe: one for all deployables, nothing inside that does not run."""

import re
from fnmatch import fnmatch

import pytest

from tests.deploy.files import DEPLOYABLES, ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
IGNORED = (ROOT / ".dockerignore").read_text().splitlines()
SERVED = {".html", ".css", ".js", ".json", ".toml"}


def _stage(name: str) -> str:
    """Return the lines of one stage."""
    pattern = rf"^FROM \S+ AS {name}$(.*?)(?=^FROM |\Z)"
    match = re.search(pattern, DOCKERFILE, re.MULTILINE | re.DOTALL)
    assert match is not None, name
    return match[1]


@pytest.mark.parametrize("deployable", DEPLOYABLES)
class TestEveryDeployable:
    """Each has a stage, an entry point and a lock of its own."""

    def test_its_stage_copies_its_own_package_and_no_other(self, deployable: str) -> None:
        """A service's image holds no line of another service."""
        copied = set(re.findall(r"^COPY (?!--)(\S+) ", _stage(deployable), re.MULTILINE))
        service = {"services/__init__.py", f"services/{deployable}/"}

        assert copied == (set() if deployable == "gateway" else service)

    def test_its_entry_point_is_its_module(self, deployable: str) -> None:
        """Arguments such as `migrate` follow it."""
        module = "gateway" if deployable == "gateway" else f"services.{deployable}"

        assert f'ENTRYPOINT ["python", "-m", "{module}"]' in _stage(deployable)

    def test_its_lock_is_there(self, deployable: str) -> None:
        """The recipe installs requirements/<deployable>.txt."""
        assert (ROOT / "requirements" / f"{deployable}.txt").is_file()


class TestTheRecipe:
    """What holds for all images."""

    def test_packages_are_installed_by_hash_and_never_built(self) -> None:
        """No foreign setup code runs, and nothing comes in that the lock does not name."""
        both = _stage("environment"), _stage("compiled")
        for option in ("--require-hashes", "--no-deps", "--only-binary=:all:", "--no-cache-dir"):
            assert all(option in stage for stage in both)

    def test_the_gateway_runs_what_was_compiled(self) -> None:
        """Modules, their sources, and the library they share; no compiler."""
        copied = re.findall(r"^COPY --from=compiled (\S+) ", _stage("gateway"), re.MULTILINE)

        assert copied == ["/compiled/*.so", "/compiled/chassis/", "/compiled/gateway/"]
        assert "FROM runtime AS gateway" in DOCKERFILE

    def test_it_ends_as_a_numeric_user(self) -> None:
        """Kubernetes can only prove a number to be not root."""
        assert DOCKERFILE.rstrip().splitlines()[-1] == "USER 10001:10001"

    def test_it_needs_no_frontend_from_a_registry(self) -> None:
        """A `syntax` line would fetch one."""
        assert "syntax=" not in DOCKERFILE
        assert "HEALTHCHECK" not in DOCKERFILE

    def test_nothing_enters_a_build_but_what_is_named(self) -> None:
        """No test, no testing kit, no secret of a checkout."""
        assert next(line for line in IGNORED if line and not line.startswith("#")) == "*"
        assert {"**/tests", "chassis/testing", "**/__pycache__"} <= set(IGNORED)
        allowed = {line for line in IGNORED if line.startswith("!")}
        packages = {"!contracts", "!chassis", "!services", "!gateway"}
        assert allowed == packages | {
            "!requirements/*.txt",
            "!pyproject.toml",
            "!scripts/compile.py",
        }

    def test_the_gateway_brings_every_file_it_serves(self) -> None:
        """Route files, pages and the reference are no Python, and enter the build all the same."""
        patterns = [line for line in IGNORED if line and line[0] not in "#!*"]
        patterns += [line.removeprefix("**/") for line in IGNORED if line.startswith("**/")]
        served = [path for path in (ROOT / "gateway").rglob("*") if path.suffix in SERVED]

        assert {"openapi.json", "redoc.js", "routes.toml"} <= {path.name for path in served}
        for path in served:
            parts = path.relative_to(ROOT).parts
            assert not [p for p in patterns for part in parts if fnmatch(part, p)], path
