"""Types are named `<service>.<noun>.<verb>.v1`, frozen in their schemas, and carry no secret."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.envelope import EventData
from contracts.registry import COMMAND_TYPES, EVENT_TYPES

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_a_type_has_the_form_of_a_fact(name: str) -> None:
    """Source, noun, verb in the past, version."""
    assert re.fullmatch(r"(identity|token|notify|audit|gateway)(\.[a-z_]+){2}\.v[0-9]+", name)


@pytest.mark.parametrize("event", EVENT_TYPES.values(), ids=lambda event: event.type)
def test_no_public_event_has_a_field_for_a_secret(event: type[EventData]) -> None:
    """D16: secrets travel as commands, sealed."""
    for field in event.model_fields:
        assert not re.search(r"password|secret|token$|^code", field), field


def test_no_type_is_named_twice() -> None:
    """Events and commands do not collide."""
    assert not set(EVENT_TYPES) & set(COMMAND_TYPES)


def test_generated_files_are_current() -> None:
    """The documents of events and of the API say what the code says."""
    done = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, str(ROOT / "scripts" / "docs.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_event_has_a_published_schema() -> None:
    """One file per type, with the URN its envelope names."""
    for event in EVENT_TYPES.values():
        path = ROOT / "contracts" / "schemas" / f"{event.type}.json"
        assert json.loads(path.read_text())["$id"] == event.schema_uri()
