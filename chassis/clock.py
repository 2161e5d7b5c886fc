"""Time as an argument: the only place that asks the system what time it is."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Something that knows what time it is."""

    def now(self) -> datetime:
        """Return the current time, aware, in UTC."""
        ...


class SystemClock:
    """The time of this machine."""

    def now(self) -> datetime:
        """Return the current time, aware, in UTC."""
        return datetime.now(UTC)  # noqa: TID251 - the one place


class Stamps:
    """The present time as log lines say it; the text of a second is kept until the next one."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def now(self) -> str:
        """Return the time by ISO 8601, in UTC."""
        return self.text_of(time.time_ns() // 1000)

    def text_of(self, microseconds: int) -> str:
        """Return a time since the epoch as `datetime.isoformat` does, with Z for UTC."""
        second = microseconds // 1_000_000
        if second != self._second:
            self._text = datetime.fromtimestamp(second, UTC).isoformat()[:-6]
            self._second = second
        fraction = microseconds - second * 1_000_000
        return f"{self._text}.{fraction:06}Z" if fraction else f"{self._text}Z"
