"""The line of an answered request: by the byte what the ordinary processors make of it."""

import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chassis import logs
from chassis.access_line import AccessLines, Answered
from chassis.clock import Stamps

_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z")
PLAIN = Answered("0" * 32, "f" * 32, "GET", "/shop/{id}", 200, 1.5, None)
HOSTILE = (
    '\n{"event":"fake"}',
    'a"b\\c\t\r\x00\x1b[2J\x7f',
    "grüße \u2028 \U0001f511 \ud800",
    "{braces} %s",
    "",
    "eyJhbGciOi.eyJzdWIi.c2ln",
    "gh_rt_abcdefghijkl",
    "amqp://u:pw@h/",
    "ada@example.com",
)


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logs.configure(level="info", style="json")


def ordinary(told: Answered, level: str) -> None:
    """Write the line as any other."""
    reason = {"reason": told.reason} if told.reason else {}
    with logs.Bound({"request_id": told.request_id, "trace_id": told.trace_id}):
        getattr(logs.get_logger("chassis.access"), level)(
            "request.answered",
            method=told.method,
            route=told.route,
            status=told.status,
            milliseconds=told.milliseconds,
            **reason,
        )


def both(capsys: pytest.CaptureFixture[str], told: Answered, level: str) -> tuple[str, str]:
    """Return the line written both ways, but for the time."""
    lines = AccessLines()
    texts = []
    for write in (ordinary, lines.write, lines.write):  # the first and each later one
        write(told, level)
        texts.append(capsys.readouterr().out)
    assert all(len(_TIMESTAMP.findall(text)) == 1 for text in texts)
    expected, first, again = (_TIMESTAMP.sub("now", text) for text in texts)
    assert first == again
    return expected, first


@pytest.mark.parametrize("style", ["json", "console"])
class TestTheSameLine:
    """Whichever way it was written."""

    @pytest.mark.parametrize("level", ["debug", "info", "warning"])
    @pytest.mark.parametrize("reason", [None, "", "not_found"])
    def test_of_each_level_with_and_without_a_reason(
        self, capsys: pytest.CaptureFixture[str], style: str, level: str, reason: str | None
    ) -> None:
        """All the keys, in their order."""
        logs.configure(level="debug", style=style)
        told = Answered("r-1", "t1", "POST", "/x", 404, 12.5, reason)
        expected, written = both(capsys, told, level)
        assert written == expected
        assert "request.answered" in written

    @pytest.mark.parametrize("value", HOSTILE)
    @pytest.mark.parametrize("field", ["request_id", "trace_id", "method", "route", "reason"])
    def test_of_values_with_escapes_and_secrets(
        self, capsys: pytest.CaptureFixture[str], style: str, field: str, value: str
    ) -> None:
        """Control characters, what is not ASCII, what looks like a token or an address."""
        logs.configure(level="info", style=style)
        if style == "console":
            value = value.replace("\ud800", "")  # no terminal could be sent it
        changed: dict[str, Any] = {field: value}
        told = replace(PLAIN, **changed)
        expected, written = both(capsys, told, "info")
        assert written == expected
        assert written.count("\n") == 1 or style == "console"

    @pytest.mark.parametrize("milliseconds", [0.0, 0.1, 1e-07, 123456.7, 1e22, -0.5])
    @pytest.mark.parametrize("status", [0, 200, 599])
    def test_of_any_number(
        self, capsys: pytest.CaptureFixture[str], style: str, milliseconds: float, status: int
    ) -> None:
        """Also of a request without an answer."""
        logs.configure(level="info", style=style)
        told = Answered("r1", "t1", "GET", "/x", status, milliseconds, None)
        expected, written = both(capsys, told, "info")
        assert written == expected

    def test_whatever_else_is_bound(self, capsys: pytest.CaptureFixture[str], style: str) -> None:
        """It carries the names of its own request alone."""
        logs.configure(level="info", style=style)
        with logs.Bound({"request_id": "another", "more": "of it"}):
            expected, written = both(capsys, PLAIN, "info")
        assert written == expected
        assert "another" not in written


def test_more_kinds_of_lines_than_are_remembered(capsys: pytest.CaptureFixture[str]) -> None:
    """Methods are a client's to invent: what is remembered of them has a bound."""
    logs.configure(level="info", style="json")
    lines = AccessLines()
    for number in range(3000):
        lines.write(Answered("r1", "t1", f"M{number}", "/x", 200, 0.1, None), "info")
    written = capsys.readouterr().out.splitlines()
    assert len(written) == 3000
    assert len(lines._known) <= 1024


def test_the_time_is_written_as_datetime_writes_it() -> None:
    """Without a fraction when there is none; the next second has a text of its own."""
    stamps = Stamps()
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    base = 1_795_000_000_000_000
    for microseconds in (base, base + 1, base + 999_999, base + 1_000_000, base - 1, base, 10**15):
        expected = (epoch + timedelta(microseconds=microseconds)).isoformat()
        assert stamps.text_of(microseconds) == expected.replace("+00:00", "Z")
