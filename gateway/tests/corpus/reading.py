"""A strict reader of HTTP/1.1 (RFC 9112): it knows one reading, and refuses all others.

It is held against the gateway: what it reads of a client's bytes is all that may be forwarded, and
what the gateway sends must be read by it without a remainder.
"""

import re
from dataclasses import dataclass

_REQUEST = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) +([\x21-\x7e]+) +HTTP/1\.([01])\r\n")
_STATUS = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2}) [\x20-\x7e]*\r\n")
_FIELD = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):"
    rb"[ \t]*((?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?)[ \t]*\r\n"
)
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[\t\x20-\x7e\x80-\xff]*)?\r\n")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_NO_BODY = (204, 304)


class Violation(Exception):  # noqa: N818 - said of the bytes
    """The bytes are no HTTP/1.1, or can be read in two ways; the message says where.

    `begun` is a request whose head is in order and whose body turned out not to be: whoever passes
    bodies on as they come has begun to by then.
    """

    begun: "Message | None" = None


class Incomplete(Exception):  # noqa: N818 - a state, not an error
    """The bytes end within a message; `begun` is what is known of it."""

    def __init__(self, begun: "Message | None" = None) -> None:
        super().__init__()
        self.begun = begun


@dataclass(frozen=True)
class Message:
    """A request (then `status` is 0) or an answer (then `method` and `target` are empty)."""

    method: str
    target: str
    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes = b""
    complete: bool = True

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of all headers called *name* (lower case)."""
        return [value for key, value in self.headers if key == name]

    @property
    def says_close(self) -> bool:
        """Whether nothing follows it on its connection."""
        return any(b"close" in value.lower() for value in self.values(b"connection"))


def requests_in(data: bytes) -> tuple[list[Message], bool]:
    """Return the requests of *data* up to what cannot be read, and whether all of it could be.

    The last one may be incomplete.
    """
    found: list[Message] = []
    try:
        while data := data.lstrip(b"\r\n"):  # empty lines before a request (RFC 9112 §2.2)
            message, data = take_request(data)
            found.append(message)
    except Incomplete as end:
        return found + ([end.begun] if end.begun else []), True
    except Violation as violation:
        return found + ([violation.begun] if violation.begun else []), False
    return found, True


def answers_in(data: bytes) -> list[Message]:
    """Return the final answers of *data*. Raises Violation, also for a remainder."""
    found = []
    while data:
        try:
            message, data = take_answer(data)
        except Incomplete:
            raise Violation(f"the answer breaks off: {data[:80]!r}") from None
        if message.status >= 200:
            found.append(message)
    return found


def take_request(data: bytes) -> tuple[Message, bytes]:
    """Return the first request of *data* and what follows. Raises Violation, Incomplete."""
    match = _REQUEST.match(data)
    if match is None:
        raise _unread(data, "request line")
    headers, rest = _fields(data[match.end() :])
    method, target = match[1].decode(), match[2].decode()
    begun = Message(method, target, 0, headers, complete=False)
    if not target.startswith("/") or "#" in target:
        raise Violation(f"target {target!r}")
    if len(begun.values(b"host")) != 1:
        raise Violation("not one Host")
    if match[3] == b"0" and begun.values(b"transfer-encoding"):
        raise Violation("Transfer-Encoding in HTTP/1.0")
    body, rest = _body(begun, rest, no_length=0)
    return Message(method, target, 0, headers, body), rest


def take_answer(data: bytes) -> tuple[Message, bytes]:
    """Return the first answer of *data* and what follows. Raises Violation, Incomplete."""
    match = _STATUS.match(data)
    if match is None:
        raise _unread(data, "status line")
    headers, rest = _fields(data[match.end() :])
    status = int(match[1])
    begun = Message("", "", status, headers, complete=False)
    if status < 200 or status in _NO_BODY:
        return Message("", "", status, headers), rest
    body, rest = _body(begun, rest, no_length=None)
    return Message("", "", status, headers, body), rest


def _fields(data: bytes) -> tuple[tuple[tuple[bytes, bytes], ...], bytes]:
    found = []
    while not data.startswith(b"\r\n"):
        match = _FIELD.match(data)
        if match is None:
            raise _unread(data, "header")
        found.append((match[1].lower(), match[2]))
        data = data[match.end() :]
    return tuple(found), data[2:]


def _body(begun: Message, data: bytes, *, no_length: int | None) -> tuple[bytes, bytes]:
    codings, lengths = begun.values(b"transfer-encoding"), begun.values(b"content-length")
    if codings:
        if lengths or [coding.lower() for coding in codings] != [b"chunked"]:
            raise Violation("the length is not certain")
        try:
            return _chunks(begun, data)
        except Violation as violation:
            violation.begun = begun
            raise
    if len(lengths) > 1 or not all(_LENGTH.fullmatch(length) for length in lengths):
        raise Violation("the length is not certain")
    size = int(lengths[0]) if lengths else no_length
    if size is None:
        raise Violation("no length at all")
    if len(data) < size:
        raise Incomplete(begun)
    return data[:size], data[size:]


def _chunks(begun: Message, data: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        match = _CHUNK.match(data)
        if match is None:
            raise _unread(data, "chunk size", begun)
        size, data = int(match[1], 16), data[match.end() :]
        if size == 0:
            try:
                return body, _fields(data)[1]
            except Incomplete:
                raise Incomplete(begun) from None
        if len(data) < size + 2:
            raise Incomplete(begun)
        if data[size : size + 2] != b"\r\n":
            raise Violation("a chunk does not end where it says")
        body, data = body + data[:size], data[size + 2 :]


def _unread(data: bytes, what: str, begun: Message | None = None) -> Exception:
    if b"\r\n" not in data and b"\n" not in data:
        return Incomplete(begun)
    return Violation(f"{what}: {data[:80]!r}")
