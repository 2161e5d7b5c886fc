"""Methods, versions, and what is no HTTP at all."""

from gateway.tests.corpus.case import END, HOST, Case, answered, refused, served

_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(64))


def _by(method: bytes) -> bytes:
    return method + b" /open/x HTTP/1.1\r\n" + HOST + b"\r\n"


def _in(version: bytes) -> bytes:
    return b"GET /open/x " + version + b"\r\n" + HOST + b"\r\n"


METHODS: tuple[Case, ...] = (
    refused("method CONNECT with a path", _by(b"CONNECT"), status=405),
    *(
        answered(f"method {method.decode()}", _by(method), status=405, code="method_not_allowed")
        for method in (b"TRACE", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"PROPFIND", b"QUERY")
    ),
    *(
        refused(f"method {method!r}", _by(method))
        for method in (
            b"get",
            b"Get",
            b"FROB",
            b"GETS",
            b"GE",
            b"G\x00T",
            b"G\tT",
            b"GET\t/open/y",
            b"",
            b" GET",
            b'"GET"',
            b"PRI",
            b"M" * 10_000,
            b"M" * 1_000_000,
            b"\xef\xbb\xbfGET",
        )
    ),
)

VERSIONS: tuple[Case, ...] = (
    *(
        refused(f"version {version!r}", _in(version))
        for version in (
            b"HTTP/0.9",
            b"HTTP/1.2",
            b"HTTP/1.10",
            b"HTTP/01.1",
            b"HTTP/2",
            b"HTTP/2.0",
            b"HTTP/3.0",
            b"HTTP/9.9",
            b"HTTP/1",
            b"HTTP/1.",
            b"HTTP/.1",
            b"HTTP/-1.1",
            b"HTTP/1,1",
            b"http/1.1",
            b"HTTPS/1.1",
            b"HTTP /1.1",
            b"HTTP/ 1.1",
            b"HTTP/1.1 ",
            b"HTTP/1.1\t",
            b"HTTP/1.1 x",
            b"HTTP/1.1\x00",
            b"ICE/1.0",
            b"FTP/1.1",
        )
    ),
    refused("HTTP/0.9, which has no version", b"GET /open/x\r\n\r\n"),
    refused("HTTP/0.9 with LF alone", b"GET /open/x\n"),
    refused("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    refused("HTTP/2 preface and frames", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", bytes(9) * 20),
    refused("HTTP/1.0 without a host", b"GET /open/x HTTP/1.0\r\n\r\n"),
    # The parser takes it for HTTP; what is forwarded says HTTP/1.1.
    served("RTSP/1.0", _in(b"RTSP/1.0"), kept=False),
    served("HTTP/1.0", _in(b"HTTP/1.0"), kept=False),
    served(
        "HTTP/1.0 that asks to keep the connection",
        b"GET /open/x HTTP/1.0\r\nHost: a\r\nConnection: keep-alive" + END,
        kept=False,
    ),
    served("an empty line first", b"\r\n" + _in(b"HTTP/1.1")),
)

GARBAGE: tuple[Case, ...] = (
    refused("TLS hello", _HELLO),
    refused("TLS hello in pieces", _HELLO[:1], _HELLO[1:5], _HELLO[5:]),
    refused("every octet", bytes(range(256)) * 4),
    refused("NUL octets", bytes(1000)),
    refused("high octets", b"\xff" * 1000),
    refused("blanks", b" " * 1000 + b"\r\n\r\n"),
    refused("SSH", b"SSH-2.0-OpenSSH_9.2p1\r\n"),
    refused("SMTP", b"EHLO a\r\nMAIL FROM:<a@b>\r\n"),
    refused("SOCKS5", b"\x05\x01\x00"),
    refused("AMQP", b"AMQP\x00\x00\x09\x01"),
    refused("Redis", b"*1\r\n$4\r\nPING\r\n"),
    refused("PROXY protocol", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", _in(b"HTTP/1.1")),
    refused("PROXY protocol, binary", b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes(12)),
    refused("an answer", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    refused("JSON", b'{"jsonrpc": "2.0"}\r\n\r\n'),
    served("LF first", b"\n\nGET /open/x HTTP/1.1\r\nHost: a\r\n\r\n"),
)
