"""The house rules that no linter knows."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("contracts", "chassis", "services", "gateway", "allinone")
DEPLOYABLES = (
    "services.identity",
    "services.token",
    "services.notify",
    "services.audit",
    "gateway",
)
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TESTS = [
    *(path for path in SOURCES if "tests" in path.parts),
    *sorted((ROOT / "tests").rglob("*.py")),
]


def test_services_is_a_package() -> None:
    """Without this file `services/token` shadows the standard library's `token`."""
    assert (ROOT / "services" / "__init__.py").exists()
    code = "import token, inspect, dataclasses; assert 'services' not in token.__file__"
    done = subprocess.run(  # noqa: S603 - this interpreter, a constant program
        [sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", DEPLOYABLES)
def test_every_deployable_says_what_it_is(name: str) -> None:
    """Its package opens with what it owns, publishes, consumes, and never does."""
    text = (importlib.import_module(name).__doc__ or "").lower()
    for word in ("own", "publish", "consume", "never"):
        assert word in text, f"{name} does not say: {word}"


@pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_test_sleeps_or_skips(path: Path) -> None:
    """A test waits for a fact (`sleep(0)` only yields); a missing server is a failure."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in {"pytest.skip", "pytest.importorskip", "pytest.xfail"}, called
            yields = [ast.unparse(argument) for argument in node.args] == ["0"]
            if called in {"time.sleep", "asyncio.sleep"} and not yields:
                assert "platforms" in path.parts, f"{path.name}:{node.lineno} sleeps"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_stay_small(path: Path) -> None:
    """A module above 250 lines becomes a package (tests may be longer)."""
    if "tests" not in path.parts:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 250


def test_nobody_commits_but_the_database() -> None:
    """One use case, one transaction, opened and committed in one place."""
    guilty = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if re.search(r"\.commit\(\)", path.read_text(encoding="utf-8"))
        and "chassis" not in path.parts
        and "tests" not in path.parts
    ]
    assert not guilty


@pytest.mark.parametrize(
    "page",
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))],
    ids=lambda page: page.name,
)
def test_every_path_a_page_names_exists(page: Path) -> None:
    """Links and file names in the documentation lead somewhere."""
    text = page.read_text(encoding="utf-8")
    named = re.findall(
        r"`((?:contracts|chassis|services|gateway|allinone|deploy|docs)/[\w./-]+)`", text
    )
    linked = re.findall(r"\]\(([^)#:]+)\)", text)
    assert not [name for name in named if not (ROOT / name).exists()]
    assert not [link for link in linked if not (page.parent / link).exists()]


def test_the_repository_names_no_machine() -> None:
    """No path of one machine, no address of a registry."""
    pattern = re.compile(r"/root/|/home/\w+/|pypi\.org|files\.pythonhosted")
    listed = subprocess.run(
        ["git", "ls-files"],  # noqa: S607 - git from the PATH
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    guilty = [
        name
        for name in listed
        if name != "tests/test_architecture.py"
        and pattern.search((ROOT / name).read_text(encoding="utf-8", errors="ignore"))
    ]
    assert not guilty
