"""The head of a request on the wire."""

from collections.abc import Iterable, Sequence

Headers = list[tuple[bytes, bytes]]
"""Header fields as they stand on the wire, names in lower case."""


def head_of(method: str, target: str, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return the head of a request. Raises ValueError for anything that would begin a line."""
    lines = lines_of(headers)
    head = b"%b %b HTTP/1.1\r\n%b\r\n" % (method.encode(), target.encode(), lines)
    if not head.count(b"\r") == head.count(b"\n") == len(headers) + 2:
        raise ValueError("a header holds a line break")
    return head


def lines_of(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return *headers* as they stand on the wire, each with the end of its line."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])
