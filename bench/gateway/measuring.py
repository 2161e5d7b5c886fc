"""One measurement of one system: as much as it takes, then what all are offered alike."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import redis

from bench.cpu import rss_of_tree, seconds_of_tree
from bench.gateway.arrivals import Offered, offer
from bench.gateway.ground import System
from bench.gateway.rows import REFERENCE
from bench.gateway.saturation import Answered, LoadError, saturate

_FIRST_SECONDS = 2
_WARM_UP_SECONDS = 1
_SCRIPTS = ("cmdstat_evalsha", "cmdstat_eval", "cmdstat_fcall")
_MIB = 1024 * 1024
_SHOWN = 2000


@dataclass(frozen=True, slots=True)
class Spent:
    """What Redis has spent: CPU seconds, script calls; and how often a system had lost it."""

    cpu: float
    calls: int
    lost: int

    def since(self, earlier: "Spent") -> "Spent":
        """Return what was spent since then."""
        return Spent(self.cpu - earlier.cpu, self.calls - earlier.calls, self.lost - earlier.lost)


@dataclass(frozen=True, slots=True)
class Measured:
    """What one system did in one round; `cpu` (seconds) and `redis` are what `answered` took.

    `offered` is None where no fixed load was offered.
    """

    answered: Answered
    cpu: float
    redis: "Spent"
    rss_mib: float
    offered: Offered | None

    @property
    def per_core_second(self) -> float:
        """Return the answers of one second of a core of its own, Redis not counted."""
        return self.answered.requests / self.cpu if self.cpu else 0.0

    @property
    def redis_calls(self) -> float:
        """Return how often Redis ran a script for one answer."""
        return self.redis.calls / self.answered.requests if self.answered.requests else 0.0

    @property
    def redis_microseconds(self) -> float:
        """Return what Redis spent on one answer."""
        return self.redis.cpu / self.answered.requests * 1e6 if self.answered.requests else 0.0

    @property
    def bad(self) -> int:
        """Return how many requests were not answered with 2xx."""
        return self.answered.bad + (self.offered.bad if self.offered else 0)


class Meter:
    """Loads systems, each for *seconds* at saturation and *offered_seconds* at a fixed rate.

    That rate is *rate*; without it, half of what the reference last answered in a second.
    """

    def __init__(
        self, redis_url: str, *, seconds: int, offered_seconds: float, rate: float | None = None
    ) -> None:
        self._follows_reference = rate is None
        self._rate = rate
        self._redis = redis.Redis.from_url(redis_url)
        self._seconds = seconds
        self._offered_seconds = offered_seconds

    def warm_up(self, system: System) -> None:
        """Load *system* before the first round, until what compiles itself has done so."""
        self.saturate(system, seconds=_FIRST_SECONDS)

    def measure(self, system: System) -> Measured:
        """Load *system* after a moment that does not count."""
        self.saturate(system, seconds=_WARM_UP_SECONDS)
        cpu, spent = seconds_of_tree(system.program.pid), self._redis_spent(system)
        answered = self.saturate(system, seconds=self._seconds)
        cpu, spent = (
            seconds_of_tree(system.program.pid) - cpu,
            self._redis_spent(system).since(spent),
        )
        if self._follows_reference and system.row.name == REFERENCE:
            self._rate = answered.per_second / 2
        return Measured(
            answered=answered,
            cpu=cpu,
            redis=spent,
            offered=self._offer(system),
            rss_mib=rss_mib(system),
        )

    def saturate(self, system: System, *, seconds: int) -> Answered:
        """Load it with the tokens that come next."""
        first = system.sent % system.tokens.count
        with _told(system):
            answered = saturate(system.url, system.tokens, first=first, seconds=seconds)
        system.sent += answered.requests
        return answered

    def _offer(self, system: System) -> Offered | None:
        if self._rate is None or not system.row.offered:
            return None
        with _told(system):
            return offer(system.url, system.tokens, rate=self._rate, seconds=self._offered_seconds)

    def _redis_spent(self, system: System) -> Spent:
        cpu, calls = self._redis.info("cpu"), self._redis.info("commandstats")
        return Spent(
            cpu=float(cpu["used_cpu_user"]) + float(cpu["used_cpu_sys"]),
            calls=sum(int(calls[name]["calls"]) for name in _SCRIPTS if name in calls),
            lost=system.redis_lost(),
        )


def rss_mib(system: System) -> float:
    """Return the resident set of a system with its processes, in MiB."""
    with _told(system):
        return rss_of_tree(system.program.pid) / _MIB


@contextmanager
def _told(system: System) -> Iterator[None]:
    """End the bench with the system's last words when it can be loaded no more."""
    try:
        yield
    except (OSError, LoadError) as error:
        end = system.program.log.read_text(errors="replace")[-_SHOWN:]
        raise SystemExit(f"{system.name}: {error}\n{end}") from None
