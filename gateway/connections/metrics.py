"""What is told of connections, for all doors together."""

from collections.abc import Callable

from prometheus_client import Counter, Gauge

from chassis.metrics import Metrics


class ConnectionMetrics:
    """The metrics of connections; each door has its label."""

    def __init__(self, metrics: Metrics) -> None:
        self._open = Gauge(
            "gatehouse_gateway_connections_open",
            "Connections of clients.",
            ["door"],
            registry=metrics.registry,
        )
        self._most = Gauge(
            "gatehouse_gateway_connections_most",
            "Connections of clients that a door takes at most.",
            ["door"],
            registry=metrics.registry,
        )
        self.refused = Counter(
            "gatehouse_gateway_connections_refused",
            "Connections closed at once: their address had too many, or all places were taken.",
            ["door", "reason"],
            registry=metrics.registry,
        )
        self.gave_way = Counter(
            "gatehouse_gateway_connections_gave_way",
            "Idle connections closed because somebody else wanted their place.",
            ["door"],
            registry=metrics.registry,
        )

    def watch(self, door: str, count: Callable[[], int], *, most: int) -> None:
        """Tell *count* and *most* of *door* from now on, and refusals before there are any."""
        self._open.labels(door).set_function(count)
        self._most.labels(door).set(most)
        for reason in ("address", "total"):
            self.refused.labels(door, reason)
        self.gave_way.labels(door)
