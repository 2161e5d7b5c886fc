"""Answers that are read at a glance: in one piece, and with nothing that wants a second look.

Narrower than any parser: what does not match is left to the parser, and to the slow path.
"""

import re

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from chassis.http1.connection import MAX_ANSWER_HEADERS
from chassis.http1.ending import MAX_ANSWER_HEADER_BYTES
from gateway.fast_path.lines import CONTROLS, DROPPED, NAME, PASSED, SLOW, Lines, Reading
from gateway.proxy.headers import Way, may_say, way_out

# RFC 9112 §4; 204 and 304 have no body, whatever their headers say.
_STATUS = re.compile(rb"HTTP/1\.1 (?!204|304)([2-5][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?")
# What the gateway says too, what speaks to it, and what is about the connection.
_SLOW = frozenset({b"connection", b"ratelimit", b"ratelimit-policy", b"transfer-encoding"})
_SIZE = re.compile(rb"[0-9]{1,9}")
# Told again and again, and no secret of anybody.
_KEPT = frozenset(
    {
        b"access-control-allow-origin",
        b"cache-control",
        b"connection",
        b"content-encoding",
        b"content-language",
        b"content-length",
        b"content-type",
        b"keep-alive",
        b"server",
        b"vary",
        b"x-content-type-options",
        b"x-powered-by",
    }
)


_LENGTH, _NOSNIFF, _VARY = "length", "nosniff", "varies"


class Answer:
    """A whole answer: `lines` are those the client gets.

    `nosniff` and `varies` say that the upstream has said these itself.
    """

    __slots__ = ("body", "lines", "nosniff", "status", "varies")

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.body = body
        self.lines = [STATUS_LINE[status]]
        self.nosniff = self.varies = False


def read_answer(data: bytes) -> Answer | None:
    """Return the answer that *data* is, whole and nothing else; None is for the parser."""
    head, end, body = data.partition(b"\r\n\r\n")
    status_line, *block = head.split(b"\r\n")
    ends = len(block)
    if not end or ends > MAX_ANSWER_HEADERS or len(head) > MAX_ANSWER_HEADER_BYTES:
        return None
    status = _STATUS.fullmatch(status_line)
    if status is None or not head.count(b"\r") == head.count(b"\n") == ends:
        return None
    answer = Answer(int(status[1]), body)
    return answer if _sort(block, answer) else None


def _sort(block: list[bytes], answer: Answer) -> bool:
    """Read the headers; False when one of them is not for here, or the length is not certain."""
    lines, lengths, known = answer.lines, 0, _LINES.known
    for line in block:
        kind, said = known(line) or _LINES.read(line)
        if kind is DROPPED:
            continue
        if kind is SLOW:
            return False
        lines.append(said)
        if kind is _LENGTH:
            lengths += 1
            if int(said[len(b"content-length: ") :]) != len(answer.body):
                return False
        elif kind is not PASSED:
            setattr(answer, kind, True)
    return lengths == 1


def _read(line: bytes) -> tuple[bytes, Reading]:
    name, colon, value = line.partition(b":")
    name, value = name.lower(), value.strip(b" \t")
    if not colon or not NAME.fullmatch(name) or line.translate(None, CONTROLS) != line:
        return name, (SLOW, b"")
    said = b"%b: %b\r\n" % (name, value)
    if name == b"content-length":
        return name, (_LENGTH if _SIZE.fullmatch(value) else SLOW, said)
    if name == b"connection" and value.lower() == b"keep-alive":
        return name, (DROPPED, b"")
    if name in _SLOW or name.startswith(b"gatehouse-"):
        return name, (SLOW, b"")
    way = way_out(name)
    if way is Way.DROPPED or (way is Way.JUDGED and not may_say(name, value)):
        return name, (DROPPED, b"")
    if name == b"content-type" and value.endswith(b"json"):
        said = b"%b: %b; charset=utf-8\r\n" % (name, value)
    return name, (_MARKED.get(name, PASSED), said)


_MARKED = {b"x-content-type-options": _NOSNIFF, b"vary": _VARY}
_LINES = Lines(_read, _KEPT)
