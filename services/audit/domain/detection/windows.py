"""Windows on a fixed grid of event time: facts are judged alike in whatever order they come.

A window begins at every quarter of its length, so that whatever happens within three quarters of
the length lies in one window as a whole.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

STEPS = 4

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """From `starts_at` (included) to `ends_at` (excluded)."""

    starts_at: datetime
    ends_at: datetime


def windows_of(moment: datetime, *, length: timedelta, is_late: bool) -> tuple[Window, ...]:
    """Return the windows to judge when something of *moment* has come.

    For what is the newest of all, the window that reaches back farthest holds all the others do.
    What comes late may complete any window it lies in.
    """
    step = length / STEPS
    last = (moment - _EPOCH) // step
    earliest = last - STEPS + 1
    starts = range(earliest, last + 1) if is_late else (earliest,)
    return tuple(Window(_EPOCH + n * step, _EPOCH + n * step + length) for n in starts)
