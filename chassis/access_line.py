"""The line of a request that was answered: a busy process writes no other so often.

As JSON it is put together from pieces, and says by the byte what `chassis.logs` would have it say:
what lines have in common has gone the way of all other lines once.
"""

from dataclasses import dataclass
from json.encoder import encode_basestring_ascii
from typing import Final

from chassis.clock import Stamps
from chassis.logs import Bound, as_json, get_logger, is_json, scrub
from chassis.output import standard_output

_EVENT: Final = "request.answered"
_LOGGER: Final = "chassis.access"
_MOST: Final = 1024
log = get_logger(_LOGGER)


@dataclass(slots=True)  # not frozen: one is made for each request
class Answered:
    """What the line tells of a request."""

    request_id: str
    trace_id: str
    method: str
    route: str
    status: int
    milliseconds: float
    reason: str | None


class AccessLines:
    """Writes the lines; remembers what they have in common."""

    def __init__(self) -> None:
        self._stamps = Stamps()
        self._known: dict[tuple[str, str, int, str | None, str], tuple[str, str]] = {}

    def write(self, told: Answered, level: str) -> None:
        """Write the line of one request; whether *level* is written at all was asked before."""
        if not is_json():
            _write_as_any(told, level)
            return
        key = (told.method, told.route, told.status, told.reason, level)
        pieces = self._known.get(key)
        if pieces is None:
            pieces = self._remember(key)
        standard_output.write_soon(
            f'{{"request_id": {_text(told.request_id)}, "trace_id": {_text(told.trace_id)}, '
            f'{pieces[0]}, "milliseconds": {told.milliseconds!r}, '
            f'{pieces[1]}, "timestamp": "{self._stamps.now()}"}}\n'
        )

    def _remember(self, key: tuple[str, str, int, str | None, str]) -> tuple[str, str]:
        method, route, status, reason, level = key
        before = as_json({"method": method, "route": route, "status": status})
        said = {"reason": reason} if reason else {}
        after = as_json({**said, "event": _EVENT, "level": level, "logger": _LOGGER})
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[key] = pieces = (before[1:-1], after[1:-1])
        return pieces


def _write_as_any(told: Answered, level: str) -> None:
    """Write it as any other line is written."""
    fields: dict[str, str | int | float] = {
        "method": told.method,
        "route": told.route,
        "status": told.status,
        "milliseconds": told.milliseconds,
    }
    if told.reason:
        fields["reason"] = told.reason
    with Bound({"request_id": told.request_id, "trace_id": told.trace_id}):
        getattr(log, level)(_EVENT, **fields)


def _text(text: str) -> str:
    """Return *text* as JSON has it; letters and digits, which ids mostly are, need no escape."""
    if text.isascii() and text.isalnum():
        return f'"{text}"'
    return encode_basestring_ascii(scrub(text))
