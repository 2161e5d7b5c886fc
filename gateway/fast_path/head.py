"""Heads that are read at a glance: whole, without a body, and sure to be read alike by everybody.

Narrower than any parser: what does not match is not refused, but left to the parser to judge.
"""

from gateway.fast_path.lines import CONTROLS, DROPPED, NAME, PASSED, SLOW, Lines, Reading
from gateway.framing import MAX_HEADERS, is_host
from gateway.header_names import FRAMING, HOP_BY_HOP, is_identity

MAX_BYTES = 8 * 1024

_END = b"\r\n\r\n"
_BUT_LINE_ENDS = bytes({*CONTROLS} - {*b"\r\n"})
# More than the fast path knows how to judge.
_SLOW = frozenset({"content-type", "cookie", "origin", "x-csrf-token"})
# Told again and again, and no secret of anybody.
_KEPT = frozenset(
    {
        b"accept",
        b"accept-encoding",
        b"accept-language",
        b"cache-control",
        b"connection",
        b"dnt",
        b"host",
        b"pragma",
        b"priority",
        b"sec-ch-ua",
        b"sec-ch-ua-mobile",
        b"sec-ch-ua-platform",
        b"sec-fetch-dest",
        b"sec-fetch-mode",
        b"sec-fetch-site",
        b"user-agent",
    }
)


# The attributes of a `Head` that keep a header's value.
_READ = {
    "host": "host",
    "authorization": "authorization",
    "x-forwarded-for": "forwarded_for",
    "traceparent": "traceparent",
}


class Head:
    """What a GET says: `lines` pass on as they are, of other headers the value is kept."""

    __slots__ = (
        "_block",
        "authorization",
        "forwarded_for",
        "host",
        "lines",
        "path",
        "query",
        "traceparent",
    )

    def __init__(self, path: bytes, query: bytes, block: list[bytes]) -> None:
        self.path = path
        self.query = query
        self.lines: list[bytes] = []
        self.host: bytes | None = None
        self.authorization: bytes | None = None
        self.forwarded_for: bytes | None = None
        self.traceparent: bytes | None = None
        self._block = block

    def fields(self) -> list[tuple[bytes, bytes]]:
        """Return all headers as a parser would tell them: names in lower case."""
        parts = [line.partition(b":") for line in self._block]
        return [(name.lower(), value.strip(b" \t")) for name, _, value in parts]


def read_head(data: bytes) -> Head | None:
    """Return the head of a GET that *data* is, whole and nothing else.

    None is for the parser to judge: a line end or control character out of place, a name that is
    none or unknown here, anything that speaks of a body or of another connection than this.
    """
    if not data.startswith(b"GET /") or not data.endswith(_END) or len(data) > MAX_BYTES:
        return None
    request_line, *block = data[:-4].split(b"\r\n")
    ends = len(block) + 2
    if ends > MAX_HEADERS or not data.count(b"\r") == data.count(b"\n") == ends:
        return None
    target, _, version = request_line[4:].partition(b" ")
    if version != b"HTTP/1.1" or b"#" in target or not target.isascii():
        return None
    if len(data.translate(None, _BUT_LINE_ENDS)) != len(data):
        return None
    path, _, query = target.partition(b"?")
    head = Head(path, query, block)
    return head if _sort(block, head) else None


def _sort(block: list[bytes], head: Head) -> bool:
    """Read the headers; False when one of them is not for here, or Host is not there."""
    lines, known = head.lines, _LINES.known
    for line in block:
        kind, said = known(line) or _LINES.read(line)
        if kind is PASSED:
            lines.append(said)
        elif kind is SLOW:
            return False
        elif kind is not DROPPED:
            if getattr(head, kind) is not None:
                return False
            setattr(head, kind, said)
    return head.host is not None


def _read(line: bytes) -> tuple[bytes, Reading]:
    name, colon, value = line.partition(b":")
    name, value = name.lower(), value.strip(b" \t")
    if not colon or not NAME.fullmatch(name):
        return name, (SLOW, b"")
    text = name.decode("ascii")
    if text in _READ and (text != "host" or is_host(value)):
        return name, (_READ[text], value)
    if text == "connection" and value.lower() == b"keep-alive":
        return name, (DROPPED, b"")
    if text in HOP_BY_HOP or text in FRAMING or text in _SLOW or text.startswith("gatehouse"):
        return name, (SLOW, b"")
    if is_identity(text):
        return name, (DROPPED, b"")
    return name, (PASSED, b"%b: %b\r\n" % (name, value))


_LINES = Lines(_read, _KEPT)
