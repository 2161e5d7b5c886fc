"""The addresses of one upstream: which of them gets the next request."""

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress

from prometheus_client import Gauge
from yarl import URL

from chassis.errors import Unavailable
from chassis.http1.connections import Connections
from chassis.http1.names import Origin
from chassis.logs import get_logger
from gateway.errors import UpstreamLeftAlone, UpstreamUnavailable
from gateway.proxy.breaker import Breaker, Passage
from gateway.proxy.checking import is_well
from gateway.routing.table import HealthCheck, Upstream

_CHECKS_TO_CONDEMN = 2
_SOON_SECONDS = 1.0
# Said of itself by an upstream, or by a proxy of its own in front of it.
_CANNOT_WORK = frozenset({502, 503, 504})
log = get_logger(__name__)


class Address:
    """One address, and what requests and checks have told of it."""

    def __init__(
        self, url: str, upstream: Upstream, *, now: Callable[[], float], out: Gauge
    ) -> None:
        self.origin = Origin.of(url)
        self.authority = self.origin.authority.encode()
        self.name = URL(url).authority
        self._upstream = upstream
        self._failed_checks = 0
        self._was_out = False
        self._out = out
        self.breaker = Breaker(upstream.thresholds, now=now, on_change=lambda _: self._tell())
        self._tell()

    @property
    def sick(self) -> bool:
        """Whether it has failed its health checks."""
        return self._failed_checks >= _CHECKS_TO_CONDEMN

    @property
    def out(self) -> bool:
        """Whether requests do not go there."""
        return self.sick or self.breaker.open

    def may_pass(self) -> bool:
        """Say whether `enter` would give leave now."""
        return not self.out if self._upstream.health else self.breaker.may_pass()

    def enter(self) -> Passage | None:
        """Give leave to send a request there; where checks are made, only they are probes."""
        return self.breaker.enter() if self.may_pass() else None

    async def check(self, connections: Connections, check: HealthCheck) -> None:
        """Ask it whether it is well: any 2xx within the time."""
        passage = self.breaker.enter()
        if await is_well(connections, self.origin, check):
            self._failed_checks = 0
            if passage is not None and self.breaker.open:
                self.breaker.answered(passage)
        else:
            self._failed_checks += 1
        self._tell()

    def _tell(self) -> None:
        self._out.labels(self._upstream.name, self.name).set(self.out)
        if self.out != self._was_out:
            tell = log.warning if self.out else log.info
            event = "upstream.left_alone" if self.out else "upstream.taken_back"
            tell(event, upstream=self._upstream.name, address=self.name)
        self._was_out = self.out


Found = tuple[Address, Passage]


class Addresses:
    """Gives out the addresses of an upstream in turn, those that are well."""

    def __init__(self, upstream: Upstream, *, now: Callable[[], float], out: Gauge) -> None:
        self._upstream = upstream
        self._now = now
        self._out = out
        self._addresses = [Address(url, upstream, now=now, out=out) for url in upstream.urls]
        self._turn = 0
        self._next_check = now()

    def ensure_one(self) -> None:
        """Raise what `refusal` returns when no address would get a request now."""
        for address in self._addresses:
            if address.may_pass():
                return
        raise self.refusal()

    def find(self, tried: Collection[Address] = ()) -> Found | None:
        """Return the next address that is not among *tried*, with leave to send one request."""
        count = len(self._addresses)
        for step in range(count):
            address = self._addresses[(self._turn + step) % count]
            passage = None if address in tried else address.enter()
            if passage is not None:
                self._turn = (self._turn + step + 1) % count
                return address, passage
        return None

    def refusal(self) -> Unavailable:
        """Return what a request gets that no address may be asked for."""
        kind = UpstreamUnavailable if self._upstream.service else UpstreamLeftAlone
        return kind(retry_after=1)

    async def check(self, connections: Connections) -> None:
        """Check the health of each address, when it is time; one that is out, sooner."""
        health = self._upstream.health
        if health is None or self._now() < self._next_check:
            return
        await asyncio.gather(*[address.check(connections, health) for address in self._addresses])
        hurry = any(address.out for address in self._addresses)
        pause = min(health.interval, _SOON_SECONDS) if hurry else health.interval
        self._next_check = self._now() + pause

    def forget(self) -> None:
        """Take the addresses out of the metrics: the upstream is not used any more."""
        for address in self._addresses:
            with suppress(KeyError):
                self._out.remove(self._upstream.name, address.name)


def note(status: int, address: Address, passage: Passage, *, own: bool) -> None:
    """Tell the breaker of an answer.

    Our own services are alive when they answer: their 503 speaks of one route, such as logins that
    wait for a hash, and must not take the others with it.
    """
    if status in _CANNOT_WORK and not own:
        address.breaker.overloaded(passage)
    else:
        address.breaker.answered(passage)
