"""Whether requests come from more than one client (D19).

A proxy that is missing from TRUSTED_PROXIES makes all its clients one: they share every limit, and
a block meets all of them. Nobody can see that from a single request.
"""

from prometheus_client import Counter

from chassis.metrics import Metrics
from chassis.networks import Address


class ClientChanges:
    """Counts requests whose client is another than that of the request before."""

    def __init__(self, metrics: Metrics) -> None:
        self._last: Address | None = None
        self._changes = Counter(
            "gatehouse_gateway_client_changes",
            "Requests from another address than the one before: none while all come from one.",
            registry=metrics.registry,
        )

    def note(self, address: Address) -> None:
        """Compare the client of a request with the one before."""
        if address is self._last or address == self._last:
            return
        if self._last is not None:
            self._changes.inc()
        self._last = address
