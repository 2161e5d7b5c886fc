"""Header lines that break the grammar, or are too many or too long (RFC 9110 §5, RFC 9112 §5)."""

from gateway.tests.corpus.case import END, GET, HOST, Case, answered, refused, served

_CONTROLS = (*range(9), *range(10, 32), 127)
_NO_NAME = b'"(),/:;<=>?@[\\]{} \t\x00\x0b\x1f\x7f\x80\xe9\xff'
_WHO = b"Authorization: Bearer a\r\n"


def _with(line: bytes) -> bytes:
    return GET + HOST + line + END


FIELDS: tuple[Case, ...] = (
    *(
        refused(f"control {octet:#04x} in a value", _with(b"X: y" + bytes([octet]) + b"z"))
        for octet in _CONTROLS
    ),
    *(
        refused(f"{bytes([octet])!r} in a name", _with(b"X" + bytes([octet]) + b"Y: z"))
        for octet in _NO_NAME
        if octet != ord(":")
    ),
    refused("control at the beginning of a value", _with(b"X: \x01")),
    refused("bare LF after the request line", b"GET /open/x HTTP/1.1\n" + HOST + b"\r\n"),
    refused("bare LF everywhere", b"GET /open/x HTTP/1.1\nHost: a\n\n", code="bad_request"),
    refused("bare LF after a header", GET + b"Host: a\nX: y" + END),
    refused("bare LF at the end", GET + HOST + b"\n"),
    refused("bare CR after a header", GET + b"Host: a\rX: y" + END),
    refused("bare CR at the end", GET + HOST + b"\r\rX"),
    refused("two CR", GET + b"Host: a\r\r\n\r\n"),
    refused("obs-fold", _with(b"X: y\r\n z")),
    refused("obs-fold of a tab", _with(b"X: y\r\n\tz")),
    refused("obs-fold in the first line", GET + b" X: y\r\n" + HOST + b"\r\n"),
    refused("line of blanks", _with(b"X: y\r\n ")),
    refused("space before the colon", GET + b"Host : a" + END),
    refused("no colon", _with(b"nonsense")),
    refused("no name", _with(b": y")),
    refused("only a colon", _with(b":")),
    refused("the request line again", _with(b"GET /open/x HTTP/1.1")),
    refused("10^5 headers", GET + HOST + b"X: y\r\n" * 100_000 + b"\r\n", status=431),
    refused(
        "10^5 different headers",
        _with(b"".join(b"X%d:\r\n" % n for n in range(100_000))),
        status=431,
    ),
    refused("101 headers", GET + HOST + b"X:\r\n" * 101 + b"\r\n", status=431),
    refused("long value", _with(b"X: " + b"y" * 100_000), status=431, code="headers_too_large"),
    refused("long value in pieces", GET + HOST + b"X: ", *([b"y" * 9000] * 12), END, status=431),
    refused("endless value", GET + HOST + b"X: ", *([b"y" * 65536] * 20), status=431),
    refused("endless value of blanks", GET + HOST + b"X:", *([b" " * 65536] * 20), status=431),
    refused("endless empty lines", *([b"\r\n" * 32768] * 20), status=431),
    refused("long name", _with(b"y" * 100_000 + b": x"), status=431),
    refused("endless name", GET + HOST, *([b"y" * 65536] * 20), status=431),
    refused("long cookie", _with(b"Cookie: " + b"a=b; " * 20_000), status=431),
    refused("two Authorization", GET + HOST + _WHO + _WHO + b"\r\n", code="ambiguous_request"),
    refused("two Content-Type", _with(b"Content-Type: text/plain\r\nContent-Type: text/html")),
    refused("no end in a request line", b"GET " + b"/" * 70_000, status=431),
    answered(
        "Bearer with a comma",
        b"GET /shop/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a, Bearer b\r\n\r\n",
        status=401,
    ),
    served("empty value", _with(b"X:")),
    served("tab in a value", _with(b"X: y\tz")),
    served("non-ASCII in a value", _with(b"X: caf\xc3\xa9 \xff")),
    served("every kind of name", _with(b"!#$%&'*+-.^_`|~09azAZ: y")),
    served("100 headers", GET + HOST + b"X: y\r\n" * 99 + b"\r\n"),
    served("a header byte by byte", *(bytes([octet]) for octet in _with(b"X: y"))),
    served("Connection names a framing header", _with(b"Connection: host, content-length")),
)
