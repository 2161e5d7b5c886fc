"""Heads that are read at a glance: whole, without a body, and sure to be read alike by everybody.

Narrower than any parser: what does not match is not refused, but left to the parser to judge.
"""

import re
from enum import Enum, auto
from functools import lru_cache

from gateway.framing import MAX_HEADERS
from gateway.header_names import FRAMING, HOP_BY_HOP, is_identity

MAX_BYTES = 8 * 1024

_END = b"\r\n\r\n"
_CONTROLS = bytes({*range(0x20), 0x7F} - {*b"\t\r\n"})
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 §5.6.2
_REMEMBERED_NAMES = 256  # a name may be as large as all headers together
_KEEP_ALIVE = b"keep-alive"
_READ = frozenset({"host", "authorization", "x-forwarded-for", "traceparent"})
# More than the fast path knows how to judge.
_SLOW = frozenset({"content-type", "cookie", "origin", "x-csrf-token"})


class _Kind(Enum):
    """What a header means here."""

    PASSED = auto()
    DROPPED = auto()
    READ = auto()
    SLOW = auto()


class Head:
    """What a GET says: `lines` pass on as they are, `read` are the headers read here, by name.

    `block` are all header lines as they came.
    """

    __slots__ = ("block", "lines", "path", "query", "read")

    def __init__(self, path: bytes, query: bytes, block: list[bytes]) -> None:
        self.path = path
        self.query = query
        self.block = block
        self.lines: list[bytes] = []
        self.read: dict[bytes, bytes] = {}

    def fields(self) -> list[tuple[bytes, bytes]]:
        """Return all headers as a parser would tell them: names in lower case."""
        parts = [line.partition(b":") for line in self.block]
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
    if len(data.translate(None, _CONTROLS)) != len(data):
        return None
    target, _, version = request_line[4:].partition(b" ")
    if version != b"HTTP/1.1" or b"#" in target or not target.isascii():
        return None
    path, _, query = target.partition(b"?")
    head = Head(path, query, block)
    return head if _sort(head) else None


def _sort(head: Head) -> bool:
    """Read the headers; False when one of them is not for here."""
    lines, read = head.lines, head.read
    for line in head.block:
        name, colon, value = line.partition(b":")
        name, value = name.lower(), value.strip(b" \t")
        kind = _kind_of(name) if colon else _Kind.SLOW
        if kind is _Kind.PASSED:
            lines.append(b"%b: %b\r\n" % (name, value))
        elif kind is _Kind.READ and name not in read:
            read[name] = value
        elif kind is not _Kind.DROPPED and (name, value.lower()) != (b"connection", _KEEP_ALIVE):
            return False
    return True


@lru_cache(_REMEMBERED_NAMES)
def _kind_of(name: bytes) -> _Kind:
    if not _NAME.fullmatch(name):
        return _Kind.SLOW
    text = name.decode("ascii")
    if text in _READ:
        return _Kind.READ
    if text in HOP_BY_HOP or text in FRAMING or text in _SLOW or text.startswith("gatehouse"):
        return _Kind.SLOW
    return _Kind.DROPPED if is_identity(text) else _Kind.PASSED
