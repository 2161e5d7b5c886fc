"""Which heads are read at a glance, and which are the parser's to judge."""

import pytest

from gateway.fast_path.head import MAX_BYTES, read_head

PLAIN = b"GET /a/b?c=d HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n"


def with_line(line: bytes) -> bytes:
    """Return a request with one more line in its head."""
    return PLAIN[:-2] + line + b"\r\n\r\n"


class TestReadAtAGlance:
    """What the fast path may take."""

    def test_a_plain_get(self) -> None:
        """Path, query, what is read here, and what passes on."""
        head = read_head(PLAIN)
        assert head is not None
        assert (head.path, head.query) == (b"/a/b", b"c=d")
        assert (head.host, head.authorization, head.traceparent) == (b"x", None, None)
        assert head.lines == [b"accept: */*\r\n"]
        assert head.fields() == [(b"host", b"x"), (b"accept", b"*/*")]

    @pytest.mark.parametrize(
        ("line", "passed"),
        [
            (b"X-Any:  a b\t", [b"x-any: a b\r\n"]),
            (b"X-Latin: \xe4", [b"x-latin: \xe4\r\n"]),
            (b"X-Empty:", [b"x-empty: \r\n"]),
            (b"Connection: Keep-Alive", []),
            (b"X-Auth-Subject: somebody", []),
            (b"X-Request-Id: 1234", []),
            (b"X-Forwarded-Proto: https", []),
            (b"Authorization: Bearer a.b.c", []),
        ],
    )
    def test_what_passes_and_what_is_dropped(self, line: bytes, passed: list[bytes]) -> None:
        """Nothing passes that says who calls; names are in lower case, values without blanks."""
        head = read_head(with_line(line))
        assert head is not None
        assert head.lines[1:] == passed


class TestLeftToTheParser:
    """What is not so simple, or not at all what it should be."""

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"GET / HTTP/1.1\r\n",
            PLAIN[:-1],
            PLAIN + b"G",
            PLAIN + PLAIN,
            PLAIN.replace(b"GET", b"HEAD"),
            PLAIN.replace(b"GET", b"POST"),
            PLAIN.replace(b"GET", b"get"),
            PLAIN.replace(b"/1.1", b"/1.0"),
            PLAIN.replace(b"/1.1", b"/1.1 "),
            PLAIN.replace(b" HTTP", b"  HTTP"),
            PLAIN.replace(b" HTTP", b"\tHTTP"),
            PLAIN.replace(b"/a/b", b"http://x/a/b"),
            PLAIN.replace(b"c=d", b"c=d#e"),
            PLAIN.replace(b"c=d", b"c=\xe4"),
            PLAIN.replace(b"\r\n", b"\n"),
            PLAIN.replace(b"x\r\n", b"x\n"),
            PLAIN.replace(b"x\r\n", b"x\r"),
            PLAIN.replace(b"*/*", b"a" * MAX_BYTES),
            with_line(b"\r\n".join([b"X: y"] * 100)),
        ],
    )
    def test_requests(self, data: bytes) -> None:
        """Other methods and versions, pieces, more than one, line ends of others, large ones."""
        assert read_head(data) is None

    @pytest.mark.parametrize(
        "line",
        [
            b"Host: y",
            b"Authorization: a\r\nAuthorization: b",
            b"X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2",
            b"Content-Length: 0",
            b"Content-Length : 0",
            b"Transfer-Encoding: chunked",
            b"transfer_encoding : chunked",
            b"Expect: 100-continue",
            b"Connection: close",
            b"Connection: keep-alive, x-any",
            b"Upgrade: websocket",
            b"TE: trailers",
            b"Trailer: x",
            b"Proxy-Connection: keep-alive",
            b"Content-Type: text/plain",
            b"Cookie: a=b",
            b"Origin: https://x",
            b"X-CSRF-Token: a",
            b"Gatehouse-Device: a",
            b"Gatehouse-Mode: browser",
            b"no colon",
            b": no name",
            b"X Any: a",
            b" folded",
            b"X-Any: a\x00b",
            b"X-Any: a\x0bb",
            b"X-Any: a\x7fb",
            b"X-\xe4: a",
        ],
    )
    def test_headers(self, line: bytes) -> None:
        """Of a body or a connection, of a page, given twice, or none at all."""
        assert read_head(with_line(line)) is None
