"""Where an answer ends (RFC 9112 §6): what two readers could cut at different places is refused.

The parser refuses two lengths, and a length beside a coding; the rest is refused here.
"""

from collections.abc import Iterable

from chassis.http1.trouble import Garbled

MAX_ANSWER_HEADER_BYTES = 32 * 1024

_VERSIONS = frozenset({"1.0", "1.1"})


def tells_its_end(headers: Iterable[tuple[bytes, bytes]], version: str) -> bool:
    """Say whether an answer tells how long it is; names in lower case. Raises Garbled."""
    size, codings, has_length = 0, [], False
    for name, value in headers:
        size += len(name) + len(value) + 4
        if name == b"transfer-encoding":
            codings.append(value.lower())
        elif name == b"content-length":
            has_length = True
    if size > MAX_ANSWER_HEADER_BYTES:
        raise Garbled("its headers are too large")
    if version not in _VERSIONS or (codings and (version, codings) != ("1.1", [b"chunked"])):
        raise Garbled("its end is not certain")
    return has_length or bool(codings)
