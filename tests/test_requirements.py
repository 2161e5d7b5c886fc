"""The locks: every group has one, pinned and hashed, within pyproject.toml's ranges."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
UNLOCKED = {"chassis", "database"}
"""Groups that only other groups include."""

_PIN = re.compile(r"^([a-z0-9][a-z0-9.-]*)(?:\[[a-z0-9,]+\])?==(\S+?)(?: ; (.+?))? \\$")
_HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}(?: \\)?$")


@dataclass
class Pin:
    """One locked package: its version, the marker it is needed under, and its hashes."""

    version: str
    marker: str | None
    hashes: int = 0


def _groups() -> dict[str, list[Any]]:
    groups: dict[str, list[Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())[
        "dependency-groups"
    ]
    return groups


def _wanted(group: str) -> Iterator[Requirement]:
    for item in _groups()[group]:
        if isinstance(item, str):
            yield Requirement(item)
        else:
            yield from _wanted(item["include-group"])


def _locked(group: str) -> dict[str, Pin]:
    """Return the pins of a lock; a line that is no pin, hash or comment fails."""
    pins: dict[str, Pin] = {}
    current = Pin("", None)
    for line in (ROOT / "requirements" / f"{group}.txt").read_text().splitlines():
        if pin := _PIN.match(line):
            current = pins[pin[1]] = Pin(pin[2], pin[3])
        elif _HASH.match(line):
            current.hashes += 1
        else:
            assert line.lstrip().startswith("#"), f"{group}: {line}"
    return pins


LOCKED = sorted(_groups().keys() - UNLOCKED)


class TestLocks:
    """Each installable group has a lock that plain pip takes with --require-hashes."""

    def test_every_group_has_a_lock_and_every_lock_a_group(self) -> None:
        """Neither is ever forgotten."""
        assert sorted(path.stem for path in (ROOT / "requirements").iterdir()) == LOCKED

    @pytest.mark.parametrize("group", LOCKED)
    def test_every_pin_is_hashed(self, group: str) -> None:
        """No package is installed that was not looked at when the lock was made."""
        pins = _locked(group)

        assert pins
        assert [name for name, pin in pins.items() if not pin.hashes] == []

    @pytest.mark.parametrize("group", LOCKED)
    def test_no_address_stands_inside(self, group: str) -> None:
        """Packages come from whichever index the machine is set up for."""
        text = (ROOT / "requirements" / f"{group}.txt").read_text()

        assert "://" not in text
        assert re.findall(r"^\s*-(?!-hash=).*", text, re.MULTILINE) == []

    @pytest.mark.parametrize("group", LOCKED)
    def test_the_ranges_of_the_project_file_hold(self, group: str) -> None:
        """A changed range without a new lock fails here."""
        pins = _locked(group)

        for wanted in _wanted(group):
            pin = pins[canonicalize_name(wanted.name)]
            assert wanted.specifier.contains(Version(pin.version)), wanted

    @pytest.mark.parametrize("group", sorted(set(LOCKED) - {"dev", "lock"}))
    def test_what_is_deployed_is_what_was_tested(self, group: str) -> None:
        """Every image has the very versions that the tests run with."""
        tested = {name: pin.version for name, pin in _locked("dev").items()}

        assert {name: pin.version for name, pin in _locked(group).items()}.items() <= tested.items()
