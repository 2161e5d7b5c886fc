"""How long to wait before the next attempt: exponential, capped, with jitter."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Delays `first`, `first * factor`, … up to `cap`, each shortened by up to `jitter` of itself.

    `chance` returns a number in [0, 1).
    """

    first: timedelta = timedelta(milliseconds=200)
    cap: timedelta = timedelta(seconds=5)
    factor: float = 2.0
    jitter: float = 0.25
    chance: Callable[[], float] = field(default=secrets.SystemRandom().random)

    def delay(self, failures: int) -> timedelta:
        """Return the wait after *failures* (≥ 1) failed attempts in a row."""
        steps = min(max(failures, 1) - 1, 64)
        longest = min(self.first.total_seconds() * self.factor**steps, self.cap.total_seconds())
        return timedelta(seconds=longest * (1 - self.jitter * self.chance()))
