"""Which answers are read at a glance, and which are the parser's to judge."""

import pytest

from gateway.fast_path.answer import read_answer
from gateway.fast_path.lines import PASSED, Lines

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


def with_line(line: bytes) -> bytes:
    """Return an answer with one more header."""
    return PLAIN.replace(b"\r\n\r\n", b"\r\n" + line + b"\r\n\r\n")


class TestReadAtAGlance:
    """What the fast path passes on."""

    def test_a_plain_answer(self) -> None:
        """Its status, its headers in lower case, its body."""
        answer = read_answer(PLAIN)
        assert answer is not None
        assert (answer.status, answer.body) == (200, b"ok")
        assert answer.lines[1:] == [b"content-type: text/plain\r\n", b"content-length: 2\r\n"]

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            (b"X-Any:  a\tb ", b"x-any: a\tb\r\n"),
            (b"Set-Cookie: a=b", b"set-cookie: a=b\r\n"),
            (b"Set-Cookie: __Host-gatehouse-refresh=b", None),
            (b"Strict-Transport-Security: max-age=0", None),
            (b"Alt-Svc: clear", None),
            (b"Date: now", None),
            (b"X-Request-Id: a", None),
            (b"Connection: keep-alive", None),
            (b"Keep-Alive: timeout=5", None),
        ],
    )
    def test_what_passes_and_what_is_dropped(self, line: bytes, said: bytes | None) -> None:
        """No cookie that looks like ours, nothing that speaks for the whole host."""
        answer = read_answer(with_line(line))
        assert answer is not None
        assert answer.lines[3:] == ([] if said is None else [said])


class TestLeftToTheParser:
    """What comes in pieces, could be cut at two places, or wants a second look."""

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            PLAIN[:-1],
            PLAIN + b"!",
            PLAIN + PLAIN,
            PLAIN.replace(b"\r\n", b"\n"),
            PLAIN.replace(b"plain\r\n", b"plain\n"),
            PLAIN.replace(b"plain\r\n", b"plain\r"),
            PLAIN.replace(b"/1.1", b"/1.0"),
            PLAIN.replace(b"200 OK", b"100 Continue"),
            PLAIN.replace(b"200 OK", b"204 No Content"),
            PLAIN.replace(b"200 OK", b"304 Not Modified"),
            PLAIN.replace(b"200 OK", b"600 What"),
            PLAIN.replace(b"200 OK", b"2000 OK"),
            PLAIN.replace(b"Content-Length: 2\r\n", b""),
            PLAIN.replace(b": 2", b": 02x"),
            PLAIN.replace(b": 2", b": +2"),
            PLAIN.replace(b": 2", b" : 2"),
            with_line(b"Content-Length: 2"),
            with_line(b"X: " + b"y" * 40_000),
            with_line(b"\r\n".join([b"X: y"] * 200)),
        ],
    )
    def test_answers(self, data: bytes) -> None:
        """Pieces, more than one, other versions, no body or no certain one, endless heads."""
        assert read_answer(data) is None

    @pytest.mark.parametrize(
        "line",
        [
            b"Transfer-Encoding: chunked",
            b"Connection: close",
            b"Connection: keep-alive, x-any",
            b"RateLimit: mine",
            b"RateLimit-Policy: mine",
            b"Gatehouse-Session: over",
            b"no colon",
            b" folded",
            b"X Any: a",
            b"X-Any: a\x00b",
            b"X-Any: a\x7fb",
        ],
    )
    def test_headers(self, line: bytes) -> None:
        """About the connection, about limits, spoken to us, or none at all."""
        assert read_answer(with_line(line)) is None


class TestLines:
    """Lines that are kept as read."""

    def test_keep_what_is_named_alone(self) -> None:
        """A secret is read each time, and stays nowhere."""
        reads: list[bytes] = []
        lines = Lines(lambda line: _noted(reads, line), frozenset({b"accept"}))
        for line in (b"accept: a", b"x-api-key: secret") * 2:
            assert (lines.known(line) or lines.read(line)) == (PASSED, line)
        assert reads == [b"accept: a", b"x-api-key: secret", b"x-api-key: secret"]

    def test_are_bounded(self) -> None:
        """In length and in number."""
        reads: list[bytes] = []
        lines = Lines(lambda line: _noted(reads, line), frozenset({b"accept"}))
        long = b"accept: " + b"x" * 1000
        lines.read(long)
        assert lines.known(long) is None
        for number in range(3000):
            lines.read(b"accept: %d" % number)
        kept = [n for n in range(3000) if lines.known(b"accept: %d" % n) is not None]
        assert kept == list(range(2048, 3000))


def _noted(reads: list[bytes], line: bytes) -> tuple[bytes, tuple[str, bytes]]:
    reads.append(line)
    return line.partition(b":")[0], (PASSED, line)
