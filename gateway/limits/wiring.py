"""How limits are counted: in Redis when there is one, with memory to fall back on."""

from dataclasses import dataclass
from time import monotonic_ns

from chassis.clock import Clock
from chassis.metrics import Metrics
from gateway.denylist import DenyList
from gateway.limits.failover import FailoverLimiter
from gateway.limits.leases import LeasedLimiter
from gateway.limits.limiter import Limiter
from gateway.limits.memory import MemoryLimiter
from gateway.limits.redis import TIMEOUT, RedisLimiter
from gateway.settings import GatewaySettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Counting:
    """The limiters; without Redis only memory."""

    memory: MemoryLimiter
    redis: RedisLimiter | None = None
    failover: FailoverLimiter | None = None

    @property
    def limiter(self) -> Limiter:
        """Return what decides."""
        return self.failover or self.memory


def counting_of(
    settings: GatewaySettings, clock: Clock, metrics: Metrics, denylist: DenyList
) -> Counting:
    """Build what *settings* ask for; *denylist* learns what Redis knows to be dead."""
    if settings.redis_url is None:
        return Counting(memory=MemoryLimiter(clock, share=settings.share))
    url = settings.redis_url.get_secret_value()
    share, lease = settings.share, settings.limit_leases
    return counting_in(url, clock, metrics, denylist, share=share, lease=lease)


def counting_in(
    url: str, clock: Clock, metrics: Metrics, denylist: DenyList, *, share: int, lease: bool
) -> Counting:
    """Build what counts in the Redis of *url*, together with others: *share* in all."""
    redis = RedisLimiter.from_url(url, timeout=TIMEOUT)
    leases = LeasedLimiter(redis, _microseconds, share=share, lease=lease)
    memory = MemoryLimiter(clock, share=share)
    failover = FailoverLimiter(redis, leases, memory, metrics, denylist=denylist)
    return Counting(memory=memory, redis=redis, failover=failover)


def _microseconds() -> int:
    return monotonic_ns() // 1000
