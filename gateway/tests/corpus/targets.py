"""Paths and targets that another server could read otherwise (RFC 9112 §3.2, RFC 3986 §6.2)."""

from gateway.tests.corpus.case import END, HOST, Case, answered, refused, served


def _asking(target: bytes) -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n"


_AMBIGUOUS_PATHS = (
    b"//open/x",
    b"///open/x",
    b"/open//x",
    b"/open/./x",
    b"/./open/x",
    b"/open/x/.",
    b"/open/x/..",
    b"/open/..",
    b"/..",
    b"/open/../shop/orders/all",
    b"/open/x/../../shop/orders/all",
    b"/open/%2e%2e/shop/orders/all",
    b"/open/.%2E/shop",
    b"/open/%2e/x",
    b"/open/..%00/shop",
    b"/open/..;/shop/orders/all",
    b"/open/;/x",
    b"/open/x;y=1",
    b"/open/x%3By",
    b"/open%2fx",
    b"/open%2Fx",
    b"/open%2F..%2Fshop",
    b"/open/..%2fshop",
    b"/open/..%5cshop",
    b"/open/..\\shop",
    b"/open\\x",
    b"\\open\\x",
    b"/open/%252e%252e/shop",
    b"/open/%25%32%65/shop",
    b"/open/%c0%ae%c0%ae/shop",
    b"/open/%c0%af",
    b"/open/%e0%80%ae",
    b"/open/%ff",
    b"/open/%u002e",
    b"/open/x%00",
    b"/open/x%0a",
    b"/open/x%0d%0aX:%20y",
    b"/open/x%09",
    b"/open/x%7f",
    b"/open/%zz",
    b"/open/%",
    b"/open/%2",
    b'/open/"x"',
    b"/open/<x>",
    b"/open/{x}",
    b"/open/x|y",
    b"/open/x^y",
    b"/open/`x`",
    b"/open/[x]",
    b"/open/caf\xc3\xa9",
    b"/open/\xe2\x80\xae",
    b"/open/x?\xc3\xa9",
    b"/open/x\x7f",
)

_NOT_A_PATH = (
    b"http://evil/open/x",
    b"https://a/open/x",
    b"HTTP://a/open/x",
    b"file:///open/x",
    b"*",
    b"open/x",
    b"?x",
    b"evil:443",
    b"@evil/open/x",
    b"/open/x#y",
    b"/open/x?y#z",
)

_BROKEN_LINES = (
    b"/open/a b",
    b"/open/x\ty",
    b"/open/x\x00",
    b"/open/x\x0b",
    b"/open/x\ry",
    b"/open/x\x01",
    b"",
)

# Nobody's path, in one reading only: not there, and the connection goes on.
_NOWHERE = (
    b"/OPEN/x",
    b"/Open/x",
    b"/open",
    b"/internal/v1/revocations",
    b"/INTERNAL/v1/revocations",
    b"/%69nternal/v1/revocations",
    b"/metrics",
    b"/health/ready",
    b"/open.json/x",
)

_GUARDED = (
    b"/shop/x",
    b"/shop/orders/all/",
    b"/sho%70/x",
    b"/%73%68%6f%70/orders/all",
    b"/shop/orders/al%6C",
)

TARGETS: tuple[Case, ...] = (
    *(refused(f"path {p!r}", _asking(p), code="ambiguous_path") for p in _AMBIGUOUS_PATHS[:7]),
    *(refused(f"path {p!r}", _asking(p)) for p in _AMBIGUOUS_PATHS[7:]),
    *(refused(f"target {t!r}", _asking(t)) for t in (*_NOT_A_PATH, *_BROKEN_LINES)),
    refused("target of 20 kB", _asking(b"/open/" + b"x" * 20_000), status=431),
    refused("query of 20 kB", _asking(b"/open/x?" + b"x" * 20_000), status=431),
    refused("path of 4000 dot segments", _asking(b"/open" + b"/.." * 2000)),
    *(answered(f"path {p!r}", _asking(p), status=404) for p in _NOWHERE),
    *(answered(f"path {p!r}", _asking(p), status=401) for p in _GUARDED),
    served("path with escapes", _asking(b"/open/%7e%41b"), targets=("/open/%7e%41b",)),
    served("path with dots in a name", _asking(b"/open/..x/y.."), targets=("/open/..x/y..",)),
    served("escape of a literal", _asking(b"/op%65n/x"), targets=("/op%65n/x",)),
    served("query with a path in it", _asking(b"/open/x?/../y//"), targets=("/open/x?/../y//",)),
    served("query of two", _asking(b"/open/x?a?b=%2e%00"), targets=("/open/x?a?b=%2e%00",)),
    served("many segments", _asking(b"/open" + b"/a" * 1000), targets=("/open" + "/a" * 1000,)),
    refused("authority form", b"CONNECT evil:443 HTTP/1.1\r\nHost: evil:443" + END),
    refused("asterisk form", b"OPTIONS * HTTP/1.1\r\nHost: a" + END),
)
