"""What goes out on the fast path: the request to the upstream, and the answer to the client."""

from collections.abc import Iterable

from chassis.http1.head import lines_of
from gateway.fast_path.admitted import Admitted
from gateway.fast_path.answer import Answer
from gateway.limits.headers import rate_limit_of
from gateway.proxy.headers import PRODUCT_HEADERS, who_calls

_NOSNIFF = b"x-content-type-options"
_PRODUCT_LINES = lines_of(PRODUCT_HEADERS)
_WITHOUT_NOSNIFF = lines_of([header for header in PRODUCT_HEADERS if header[0] != _NOSNIFF])


def request_of(admitted: Admitted, authority: bytes) -> bytes:
    """Return the request as *authority* gets it."""
    head, state = admitted.head, admitted.state
    target = b"%b?%b" % (head.path, head.query) if head.query else head.path
    told = f"x-request-id: {state.request_id}\r\ntraceparent: {state.trace}\r\n"
    return b"GET %b HTTP/1.1\r\nhost: %b\r\n%b%b%b%b\r\n" % (
        target,
        authority,
        b"".join(head.lines),
        admitted.caller.lines,
        told.encode(),
        lines_of(who_calls(admitted.token)) if admitted.token is not None else b"",
    )


class AnswerWriter:
    """Writes answers; with *vary* each depends on the calling page's origin."""

    def __init__(self, *, vary: bool) -> None:
        self._vary = vary
        self._common: Iterable[tuple[bytes, bytes]] = ()
        self._common_lines = b""

    def write(
        self, answer: Answer, admitted: Admitted, common: Iterable[tuple[bytes, bytes]]
    ) -> bytes | None:
        """Return the whole answer as the client gets it; None is for the slow path to give.

        *common* are the headers of every answer.
        """
        if self._vary and answer.varies:
            return None  # two lines into one
        if common is not self._common:  # uvicorn makes another list each second
            self._common = common
            self._common_lines = lines_of(common)
        lines = answer.lines
        lines.insert(1, self._common_lines)
        if admitted.decision is not None:
            lines.append(admitted.plan.policies)
            lines.append(b"ratelimit: %b\r\n" % rate_limit_of(admitted.decision).encode())
        if self._vary:
            lines.append(b"vary: Origin\r\n")
        lines.append(_WITHOUT_NOSNIFF if answer.nosniff else _PRODUCT_LINES)
        lines.append(b"x-request-id: %b\r\n\r\n" % admitted.state.request_id.encode())
        lines.append(answer.body)
        return b"".join(lines)
