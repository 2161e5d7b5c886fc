"""Log lines: one JSON object each, nothing secret in them."""

import json
import logging

import pytest

from chassis import logs


@pytest.fixture(autouse=True)
def _restore_logging() -> object:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def _line(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    document: dict[str, str] = json.loads(lines[0])
    return document


def test_a_line_is_a_fact_with_fields(capsys: pytest.CaptureFixture[str]) -> None:
    """Event, level, time in UTC and the fields, as one JSON object."""
    logs.configure(level="info", style="json")
    logs.get_logger("x").info("user.registered", user_id="u1")
    line = _line(capsys)
    assert (line["event"], line["level"], line["user_id"]) == ("user.registered", "info", "u1")
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize(
    ("key", "value", "leak"),
    [
        ("password", "hunter2", "hunter2"),
        ("new_password", "hunter2", "hunter2"),
        ("refresh_token", "abcdef", "abcdef"),
        ("authorization", "Bearer abcdef", "abcdef"),
        ("database_url", "postgresql://u:pw@h/d", "pw"),
        ("error", "cannot reach amqp://u:pw@h/", "pw"),
        ("error", "token eyJhbGciOi.eyJzdWIi.c2ln is bad", "eyJhbGciOi"),
        ("error", "gh_rt_abcdefghijkl is spent", "abcdefghijkl"),
        ("error", "no mailbox ada@example.com", "ada@example.com"),
    ],
)
def test_secrets_stay_out(
    capsys: pytest.CaptureFixture[str], key: str, value: str, leak: str
) -> None:
    """By the name of the key, or by the shape of the value."""
    logs.configure(level="info", style="json")
    logs.get_logger("x").info("thing.failed", **{key: value})
    assert leak not in json.dumps(_line(capsys))


def test_a_value_cannot_forge_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Line breaks and terminal escapes stay inside one JSON string."""
    logs.configure(level="info", style="json")
    logs.get_logger("x").info("login.failed", agent='\n{"event":"fake"}\x1b[2J')
    assert _line(capsys)["agent"] == '\n{"event":"fake"}\x1b[2J'


def test_the_standard_librarys_lines_look_alike(capsys: pytest.CaptureFixture[str]) -> None:
    """What a library logs is a JSON object as well, and redacted."""
    logs.configure(level="info", style="json")
    logging.getLogger("some.library").warning("failed for %s", "ada@example.com")
    assert _line(capsys)["event"] == "failed for [email]"
