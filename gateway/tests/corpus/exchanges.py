"""More than one message: pipelining, Expect, Upgrade, and who stops in the middle."""

from gateway.tests.corpus.case import CHUNKED, END, GET, HOST, POST, Case, refused, served

_FIRST = b"GET /open/1 HTTP/1.1\r\nHost: a\r\n\r\n"
_SECOND = b"GET /open/2 HTTP/1.1\r\nHost: a\r\n\r\n"
_HIDDEN = b"GET /open/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
_BODY = b"Content-Length: 3\r\n"
_KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"


def _after_one(name: str, *pieces: bytes) -> Case:
    """Return a case of what spoils the request behind a good one: one answer, and the end.

    Which one must come: where the first is answered already, a refusal follows it.
    """
    return Case(name=name, pieces=pieces, statuses=(200,), forwarded=("/open/1",))


def _then_refused(name: str, *pieces: bytes, status: int = 400) -> Case:
    return Case(name=name, pieces=pieces, statuses=(200, status), forwarded=("/open/1",))


PIPELINES: tuple[Case, ...] = (
    served("two", _FIRST + _SECOND, targets=("/open/1", "/open/2")),
    served("fifty", *(_FIRST for _ in range(50)), targets=tuple("/open/1" for _ in range(50))),
    _after_one("garbage behind one", _FIRST + b"\x00garbage\r\n\r\n"),
    _then_refused("a dot segment behind one", _FIRST + _SECOND.replace(b"/2", b"/../2")),
    _then_refused("two hosts behind one", _FIRST + _SECOND.replace(HOST, HOST * 2)),
    _after_one("an unknown version behind one", _FIRST + _SECOND.replace(b"/1.1", b"/2.0")),
    _then_refused("a broken chunk behind one", _FIRST + CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n"),
    _after_one("CL and TE behind one", _FIRST + POST + _BODY + b"Transfer-Encoding: chunked" + END),
    Case(
        name="a good one behind a refused one",
        pieces=(b"GET /open/../x HTTP/1.1\r\nHost: a\r\n\r\n" + _FIRST,),
        statuses=(400,),
    ),
    Case(
        name="a body that looks like a request, to a route that refuses",
        pieces=(
            b"POST /shop/x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(_HIDDEN)
            + _HIDDEN,
        ),
        statuses=(401,),
        kept=True,
    ),
    served(
        "a body that looks like a request",
        POST + b"Content-Length: %d\r\n\r\n" % len(_HIDDEN) + _HIDDEN,
    ),
    Case(
        name="trailing garbage behind a body",
        pieces=(POST + _BODY + b"\r\nabcXYZ\r\n\r\n",),
        statuses=(200,),
        forwarded=("/open/x",),
    ),
    served("GET with a body", GET + HOST + _BODY + b"\r\nabc"),
    served(
        "Connection: close among trailers",
        CHUNKED + b"1\r\na\r\n0\r\nConnection: close\r\n\r\n",
        kept=False,
    ),
    served("CRLF behind a body", POST + _BODY + b"\r\nabc\r\n"),
)

EXPECTATIONS: tuple[Case, ...] = (
    refused("Expect something else", POST + _BODY + b"Expect: 200-ok" + END + b"abc", status=417),
    refused("Expect a list", POST + _BODY + b"Expect: 100-continue, x" + END + b"abc", status=417),
    served("Expect nothing", POST + _BODY + b"Expect:" + END + b"abc"),
    refused("Expect twice", POST + _BODY + b"Expect: 100-continue\r\n" * 2 + b"\r\nabc"),
    served("Expect 100-continue", POST + _BODY + b"Expect: 100-continue" + END + b"abc"),
    served("Expect 100-CONTINUE", POST + _BODY + b"Expect: 100-CONTINUE" + END, b"abc"),
    served("Expect without a body", GET + HOST + b"Expect: 100-continue" + END),
    served(
        "Expect of HTTP/1.0",
        POST.replace(b"1.1", b"1.0") + _BODY + b"Expect: 100-continue" + END + b"abc",
        kept=False,
    ),
    refused(
        "Expect with more than a route takes",
        POST + b"Content-Length: 99999999\r\nExpect: 100-continue" + END,
        status=413,
    ),
)


def _upgrade(*lines: bytes) -> bytes:
    return GET + HOST + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


UPGRADES: tuple[Case, ...] = (
    refused(
        "Upgrade with a coding that is none",
        _upgrade(b"Connection: Upgrade", b"Upgrade: websocket", b"Transfer-Encoding: identity"),
    ),
    refused(
        "Upgrade with a broken chunk",
        _upgrade(b"Connection: Upgrade", b"Upgrade: h2c", b"Transfer-Encoding: chunked"),
        b"0x3\r\nabc\r\n0\r\n\r\n",
    ),
    served(
        "Upgrade with chunks",
        _upgrade(b"Connection: Upgrade", b"Upgrade: h2c", b"Transfer-Encoding: chunked"),
        b"3\r\na",
        b"bc\r\n0\r\n\r\n",
        kept=False,
    ),
    *(
        served(
            f"Upgrade to {name!r}",
            _upgrade(b"Connection: Upgrade", b"Upgrade: " + name),
            kept=False,
        )
        for name in (b"websocket", b"h2c", b"HTTP/2.0", b"TLS/1.0", b"x, websocket", b"\xff")
    ),
    served(
        "Upgrade to h2c with settings",
        _upgrade(
            b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"
        ),
        kept=False,
    ),
    served(
        "Upgrade with a frame behind it",
        _upgrade(b"Connection: Upgrade", b"Upgrade: websocket") + b"\x81\x85abcd12345",
        kept=False,
    ),
    served(
        "Upgrade with a request behind it",
        _upgrade(b"Connection: Upgrade", b"Upgrade: websocket") + _HIDDEN,
        kept=False,
    ),
    served("Upgrade that Connection does not name", _upgrade(b"Upgrade: websocket")),
    served("Connection that names no Upgrade", _upgrade(b"Connection: upgrade")),
    served(
        "Upgrade with a body",
        POST + _BODY + b"Connection: Upgrade\r\nUpgrade: websocket" + END + b"abc",
        kept=False,
    ),
    served(
        "WebSocket to a route that has none",
        GET + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n" + _KEY + b"\r\n",
        kept=False,
    ),
)

SILENCES: tuple[Case, ...] = (
    Case(name="nothing", pieces=(), statuses=(), unfinished=True),
    refused("half a method", b"GE", status=408, unfinished=True),
    refused("half a line", b"GET /open/x HT", status=408, unfinished=True),
    refused("half the headers", GET + HOST + b"X: y\r\n", status=408, unfinished=True),
    refused("all but the last octet", GET + HOST + b"\r", status=408, unfinished=True),
    refused("half a body", POST + _BODY + b"\r\na", status=408, unfinished=True),
    refused("half a chunk", CHUNKED, b"3\r\na", status=408, unfinished=True),
    refused("half a chunk size", CHUNKED, b"3", status=408, unfinished=True),
    refused("no last chunk", CHUNKED, b"3\r\nabc\r\n", status=408, unfinished=True),
    refused("half the trailers", CHUNKED, b"0\r\nX: y\r\n", status=408, unfinished=True),
    refused(
        "no body after Expect",
        POST + _BODY + b"Expect: 100-continue" + END,
        status=408,
        unfinished=True,
    ),
    Case(
        name="half a request behind a good one",
        pieces=(_FIRST + GET,),
        statuses=(200, 408),
        forwarded=("/open/1",),
        unfinished=True,
    ),
)
