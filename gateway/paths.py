"""Paths that can be read in one way only: everything else is refused before it is matched.

What is authorised is what is forwarded, byte for byte; matching works on the decoded segments, so
`/%61dmin` falls under the rules of `/admin`.
"""

import re
from urllib.parse import unquote_to_bytes

from gateway.errors import AmbiguousPath

# RFC 3986 §3.3 without `;` (path parameters are cut off by some servers); a `%` with two digits.
_TARGET = re.compile(r"(?:/(?:[A-Za-z0-9\-._~!$&'()*+,=:@]|%[0-9A-Fa-f]{2})*)+")
_QUERY = re.compile(r"[\x21-\x7e]*")
# Encoded: controls, DEL, dot, slash, backslash, semicolon.
_REFUSED_ESCAPES = re.compile(r"(?i)%(?:[01][0-9a-f]|7f|2e|2f|5c|3b)")
# Left over when all is decoded: somebody behind could decode it once more.
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_EMPTY_OR_DOTS = frozenset({"", ".", ".."})


def segments_of(raw_path: bytes) -> tuple[str, ...]:
    """Return the decoded segments of a path; a trailing slash gives an empty last one.

    Raises AmbiguousPath for empty and dot segments, `;`, backslashes, encoded slashes, dots and
    controls, double encoding, and what is not ASCII on the wire or not UTF-8 when decoded.
    """
    try:
        text = raw_path.decode("ascii")
    except UnicodeDecodeError:
        raise AmbiguousPath from None
    if not _TARGET.fullmatch(text) or _REFUSED_ESCAPES.search(text):
        raise AmbiguousPath
    raw = text[1:].split("/")
    if _EMPTY_OR_DOTS & set(raw[:-1]) or raw[-1] in (".", ".."):
        raise AmbiguousPath
    if "%" not in text:
        return tuple(raw)
    try:
        segments = tuple(unquote_to_bytes(segment).decode("utf-8") for segment in raw)
    except UnicodeDecodeError:
        raise AmbiguousPath from None
    if any(_ESCAPE.search(segment) for segment in segments):
        raise AmbiguousPath
    return segments


def target_of(raw_path: bytes, query: bytes) -> str:
    """Return the request target to forward: path and query as they came. Raises AmbiguousPath."""
    path = raw_path.decode("ascii")
    if not query:
        return path
    text = query.decode("latin-1")
    if not _QUERY.fullmatch(text):
        raise AmbiguousPath
    return f"{path}?{text}"
