"""How late the event loop is: what a timer that has to wait its turn tells of all other work."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

EVERY = 0.1
"""Seconds between two measurements, besides the lag itself."""

_SAMPLES = 5


class LoopLag:
    """Measures the lag: the median of the last five times that a timer came late, in seconds.

    One long pause, such as a collection of garbage, moves the median nowhere; a load that stays
    does so with its third sample. *now* counts seconds, *sleep* waits for some.
    """

    def __init__(
        self, now: Callable[[], float], sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._now = now
        self._sleep = sleep
        self._samples = deque([0.0] * _SAMPLES, maxlen=_SAMPLES)

    @property
    def seconds(self) -> float:
        """Return the lag."""
        return sorted(self._samples)[_SAMPLES // 2]

    async def measure(self) -> float:
        """Take one sample more and return it."""
        due = self._now() + EVERY
        await self._sleep(EVERY)
        late = max(0.0, self._now() - due)
        self._samples.append(late)
        return late
