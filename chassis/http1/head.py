"""The head of a request on the wire."""

from collections.abc import Sequence

Headers = list[tuple[bytes, bytes]]
"""Header fields as they stand on the wire, names in lower case."""


def head_of(method: str, target: str, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return the head of a request. Raises ValueError for anything that would begin a line."""
    lines = [b"%b: %b\r\n" % header for header in headers]
    head = b"%b %b HTTP/1.1\r\n%b\r\n" % (method.encode(), target.encode(), b"".join(lines))
    if not head.count(b"\r") == head.count(b"\n") == len(lines) + 2:
        raise ValueError("a header holds a line break")
    return head
