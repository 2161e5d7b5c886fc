"""The answer of an upstream, as the client gets it, where nothing in it needs a second look."""

from collections.abc import Iterable

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from chassis.http1.connection import Connection
from gateway.cycle import is_clean
from gateway.fast_path.admitted import Admitted
from gateway.limits.headers import rate_limit_of
from gateway.proxy.headers import NO_BODY, PRODUCT_HEADERS, Way, may_say, way_out

_NOSNIFF = b"x-content-type-options"
_PRODUCT_LINES = b"".join(b"%b: %b\r\n" % header for header in PRODUCT_HEADERS)
_WITHOUT_NOSNIFF = b"".join(b"%b: %b\r\n" % h for h in PRODUCT_HEADERS if h[0] != _NOSNIFF)
_OURS = b"gatehouse-"
# What the gateway says too, or what may name other headers: it is for the slow path to combine.
_SECOND_LOOK = frozenset({b"connection", b"ratelimit", b"ratelimit-policy", b"vary"})
_HARMLESS = frozenset({(b"connection", b"keep-alive"), (b"connection", b"close")})


def answer_of(
    connection: Connection,
    admitted: Admitted,
    *,
    common: Iterable[tuple[bytes, bytes]],
    vary: bool,
) -> bytes | None:
    """Return the whole answer; None is for the slow path to give.

    *common* are headers of every answer; with *vary* it depends on the calling page's origin.
    """
    upstreams = _upstreams_lines(connection, vary=vary)
    if upstreams is None:
        return None
    lines = [STATUS_LINE[connection.status]]
    lines += [b"%b: %b\r\n" % header for header in common]
    lines += upstreams
    if admitted.decision is not None:
        rate_limit = rate_limit_of(admitted.decision).encode()
        lines.append(b"ratelimit-policy: %b\r\n" % admitted.plan.policies)
        lines.append(b"ratelimit: %b\r\n" % rate_limit)
    if vary:
        lines.append(b"vary: Origin\r\n")
    lines.append(b"x-request-id: %b\r\n" % admitted.state.request_id.encode())
    count = len(lines)
    nosniff_said = any([line.startswith(_NOSNIFF) for line in upstreams])  # noqa: C419 - half the time
    lines.insert(-1, _WITHOUT_NOSNIFF if nosniff_said else _PRODUCT_LINES)
    head = b"".join(lines)
    if not is_clean(head, count + len(PRODUCT_HEADERS) - nosniff_said):
        return None
    return b"%b\r\n%b" % (head, connection.read() or b"")


def _upstreams_lines(connection: Connection, *, vary: bool) -> list[bytes] | None:
    lines, has_length = [], connection.status in NO_BODY
    for name, value in connection.headers:
        if name in _SECOND_LOOK and not _is_plain(name, value, vary=vary):
            return None
        if name.startswith(_OURS):
            return None
        way = way_out(name)
        if way is Way.DROPPED or (way is Way.JUDGED and not may_say(name, value)):
            continue
        if name == b"content-length":
            if connection.status in NO_BODY:
                continue
            has_length = True
        elif name == b"content-type" and value.endswith(b"json"):
            value += b"; charset=utf-8"  # noqa: PLW2901 - the same header
        lines.append(b"%b: %b\r\n" % (name, value))
    return lines if has_length else None


def _is_plain(name: bytes, value: bytes, *, vary: bool) -> bool:
    return (name, value.lower()) in _HARMLESS or (name == b"vary" and not vary)
