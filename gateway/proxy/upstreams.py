"""What the gateway knows of its upstreams while it runs: slots, addresses, health."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta

from prometheus_client import Gauge

from chassis.background import Background
from chassis.http1.connections import Connections
from chassis.metrics import Metrics
from gateway.proxy.addresses import Addresses
from gateway.proxy.slots import Slots
from gateway.routing.table import Upstream

_TICK = timedelta(seconds=0.5)
_NO_BULKHEAD = "shared"


class Upstreams:
    """Addresses by upstream, slots by upstream and bulkhead. *now* is monotonic, in seconds."""

    def __init__(self, metrics: Metrics, now: Callable[[], float]) -> None:
        self._now = now
        self._addresses: dict[Upstream, Addresses] = {}
        self._slots: dict[tuple[Upstream, str | None], Slots] = {}
        self._out = Gauge(
            "gatehouse_gateway_upstream_address_out",
            "1 while requests do not go to an address of an upstream, because it failed.",
            ["upstream", "address"],
            registry=metrics.registry,
        )
        self._held = Gauge(
            "gatehouse_gateway_upstream_requests",
            "Requests an upstream works on.",
            ["upstream", "bulkhead"],
            registry=metrics.registry,
        )
        self._waiting = Gauge(
            "gatehouse_gateway_upstream_waiting",
            "Requests that wait until an upstream works on fewer.",
            ["upstream", "bulkhead"],
            registry=metrics.registry,
        )

    def use(self, upstreams: Iterable[Upstream]) -> None:
        """Know these and forget all others; what has not changed is kept with its state."""
        wanted = set(upstreams)
        for upstream in [known for known in self._addresses if known not in wanted]:
            self._addresses.pop(upstream).forget()
        for upstream, bulkhead in [key for key in self._slots if key[0] not in wanted]:
            del self._slots[upstream, bulkhead]
            for gauge in (self._held, self._waiting):
                with suppress(KeyError):
                    gauge.remove(upstream.name, bulkhead or _NO_BULKHEAD)
        for upstream in wanted:
            self.addresses(upstream)

    def addresses(self, upstream: Upstream) -> Addresses:
        """Return the addresses of *upstream*."""
        known = self._addresses.get(upstream)
        if known is None:
            known = Addresses(upstream, now=self._now, out=self._out)
            self._addresses[upstream] = known
        return known

    def slots(self, upstream: Upstream, bulkhead: str | None) -> Slots:
        """Return the slots of *upstream* for the routes of a bulkhead, of all others for None."""
        known = self._slots.get((upstream, bulkhead))
        if known is None:
            names = {"upstream": upstream.name, "bulkhead": bulkhead or _NO_BULKHEAD}
            known = self._slots[upstream, bulkhead] = Slots(upstream.bounds, **names)
            self._held.labels(**names).set_function(lambda: known.held)
            self._waiting.labels(**names).set_function(lambda: known.waiting)
        return known

    async def watch(self, background: Background, connections: Connections) -> None:
        """Check the health of those that want it, for ever; the supervised task."""
        while True:
            known = tuple(self._addresses.values())
            await asyncio.gather(*[addresses.check(connections) for addresses in known])
            await background.pause(_TICK)
