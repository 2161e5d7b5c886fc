"""What no honest client sends: requests that two servers would cut at different places.

httptools refuses most of it on the wire; it lets pass two Host headers, none at all, and transfer
codings other than chunked (RFC 9112 §3.2, §6).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from starlette.types import Scope

from gateway.errors import AmbiguousRequest, ExpectationUnknown, HeadersTooLarge

MAX_HEADERS = 100
MAX_HEADER_BYTES = 32 * 1024
MAX_TARGET_BYTES = 8 * 1024

RawHeaders = Iterable[tuple[bytes, bytes]]

_HOST = re.compile(rb"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_EXPECTED = (b"100-continue", b"")
_SINGLE = frozenset(
    {
        b"host",
        b"content-length",
        b"transfer-encoding",
        b"authorization",
        b"content-type",
        b"expect",
    }
)


@dataclass(slots=True)  # not frozen: each field of each request would cost a call
class Framing:
    """How the request is cut: its Host and the length of its body.

    `content_length` is None for a chunked body; `has_body` is False when none can follow.
    """

    host: str
    content_length: int | None
    has_body: bool


def framing_of(scope: Scope) -> Framing:
    """Return the request's framing.

    Raises HeadersTooLarge, AmbiguousRequest, ExpectationUnknown.
    """
    single = _single_values(scope)
    if b"expect" in single and single[b"expect"].lower() not in _EXPECTED:
        raise ExpectationUnknown
    host = single.get(b"host")
    if host is None or not is_host(host):
        raise AmbiguousRequest("Exactly one valid Host is needed.")
    coding, length = single.get(b"transfer-encoding"), single.get(b"content-length")
    if coding is not None:
        old = scope["http_version"] == "1.0"  # which knows no codings (RFC 9112 §6.1)
        if old or length is not None or coding.lower() != b"chunked":
            raise AmbiguousRequest("The length of the body is not certain.")
        return Framing(host.decode("ascii"), None, has_body=True)
    if length is not None and not _LENGTH.fullmatch(length):
        raise AmbiguousRequest("The length of the body is not certain.")
    size = int(length or b"0")
    return Framing(host.decode("ascii"), size, has_body=size > 0)


def is_host(value: bytes) -> bool:
    """Say whether *value* can be that of Host (RFC 9110 §7.2)."""
    return _HOST.fullmatch(value) is not None


def values_of(headers: RawHeaders, name: bytes) -> list[str]:
    """Return the values of all headers called *name* (lower case), in order."""
    return [value.decode("latin-1") for key, value in headers if key == name]


def _single_values(scope: Scope) -> dict[bytes, bytes]:
    """Return the values of headers that must not come twice, of a request that is not too large."""
    found: dict[bytes, bytes] = {}
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    size = 4 * len(headers)
    twice = None
    for name, value in headers:
        size += len(name) + len(value)
        if name in _SINGLE:
            if name in found:
                twice = name
            found[name] = value.strip()
    target = len(scope["raw_path"]) + len(scope["query_string"])
    if len(headers) > MAX_HEADERS or size > MAX_HEADER_BYTES or target > MAX_TARGET_BYTES:
        raise HeadersTooLarge(headers={"Connection": "close"})
    if twice is not None:
        raise AmbiguousRequest(f"{twice.decode()} is given twice.")
    return found
