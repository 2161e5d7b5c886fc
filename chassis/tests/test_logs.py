"""Log lines: one JSON object each, nothing secret in them."""

import io
import json
import logging
import sys
from ipaddress import ip_address

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


def test_lines_below_the_level_are_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    """Also by a logger that was in use before the level was set."""
    logger = logs.get_logger("x")
    for level in ("info", "warning"):
        logs.configure(level=level, style="json")
        logger.debug("thing.considered")
        logger.info("thing.done", level_was=level)
    assert _line(capsys)["level_was"] == "info"


def test_what_is_bound_stands_in_every_line(capsys: pytest.CaptureFixture[str]) -> None:
    """In those of libraries too, and in none after."""
    logs.configure(level="info", style="json")
    with logs.Bound({"request_id": "r1"}):
        logs.get_logger("x").info("thing.done", n=1)
        logging.getLogger("some.library").warning("hm")
    logs.get_logger("x").info("thing.done", n=2)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line.get("request_id") for line in lines] == ["r1", "r1", None]


def test_a_crash_is_one_line_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    """With its traceback."""
    logs.configure(level="info", style="json")
    try:
        int("no mailbox ada@example.com")
    except ValueError:
        logs.get_logger("x").exception("request.crashed")
    line = _line(capsys)
    assert line["level"] == "error"
    assert line["exception"].endswith("'no mailbox [email]'")


def test_a_line_nobody_can_read_fails_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard output is closed."""
    logs.configure(level="info", style="json")
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stdout", closed)
    logs.get_logger("x").info("thing.done")


def test_a_value_json_does_not_know_is_shown_all_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As Python writes it."""
    logs.configure(level="info", style="json")
    logs.get_logger("x").info("thing.done", ids={1}, at=ip_address("192.0.2.1"))
    line = _line(capsys)
    assert (line["ids"], line["at"]) == ("{1}", "IPv4Address('192.0.2.1')")
