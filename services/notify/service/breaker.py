"""When the way out is closed: how long nobody knocks, and how sending starts again.

Five failures in a row that concern every mail close it, or one that names the wait itself. No mail
is claimed then, so an outage costs hardly an attempt of any. After each pause one mail tries; the
first that passes opens the way for two at a time, then four, up to all workers: a server that has
just come back is not met by everything that waited.
"""

from datetime import datetime, timedelta

from chassis.backoff import Backoff
from chassis.clock import Clock
from services.notify.domain.messages import LONGEST_WAIT

_FAILURES_IN_A_ROW = 5
_PAUSES = Backoff(first=timedelta(seconds=1), cap=timedelta(minutes=1))


class Breaker:
    """Admits up to *width* deliveries at a time; none while the transport is known to be down.

    Every `admit` that said yes is followed by one `leave`; in between at most one of `failed` and
    `succeeded` tells what the transport did.
    """

    def __init__(self, *, clock: Clock, width: int, pauses: Backoff = _PAUSES) -> None:
        self._clock = clock
        self._full = self._width = width
        self._pauses = pauses
        self._in_flight = 0
        self._failures = 0
        self._paused = 0
        self._until: datetime | None = None

    @property
    def paused(self) -> bool:
        """Say whether the transport is down, as far as is known."""
        return self._until is not None

    def admit(self) -> bool:
        """Say whether a mail may be claimed now."""
        waits = self._until is not None and self._clock.now() < self._until
        if waits or self._in_flight >= self._width:
            return False
        self._in_flight += 1
        return True

    def leave(self) -> None:
        """Give the place back that `admit` gave."""
        self._in_flight -= 1

    def succeeded(self) -> bool:
        """Note that the transport is there; return whether it had been down."""
        recovered = self.paused
        self._until = None
        self._failures = self._paused = 0
        self._width = min(self._width * 2, self._full)
        return recovered

    def failed(self, *, retry_after: timedelta | None = None) -> timedelta | None:
        """Note that the transport was not there; return the pause when one begins."""
        now = self._clock.now()
        asked = min(retry_after or timedelta(), LONGEST_WAIT)
        if self._until is not None and now < self._until:
            # It was on its way when the pause began: nothing new, but for a longer wait.
            self._until = max(self._until, now + asked)
            return None
        self._failures += 1
        if not (self.paused or asked or self._failures >= _FAILURES_IN_A_ROW):
            return None
        self._paused += 1
        self._width = 1
        pause = max(asked, self._pauses.delay(self._paused))
        self._until = now + pause
        return pause
