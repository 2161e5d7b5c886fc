"""Prometheus metrics: one registry per deployable, so that several fit into one process."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The metrics every deployable has; rooms add their own to `registry`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "gatehouse_http_requests",
            "Requests answered.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "gatehouse_http_request_seconds",
            "Time from the request's arrival to the end of its answer.",
            ("route",),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.problems = Counter(
            "gatehouse_problems",
            "Errors answered, by their code.",
            ("code",),
            registry=self.registry,
        )
        self._answered: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self.in_flight = Gauge(
            "gatehouse_http_requests_in_flight",
            "Requests being answered now.",
            registry=self.registry,
        )

    def answered(self, method: str, route: str, status: int, *, seconds: float) -> None:
        """Count a request that was answered.

        What it is counted by is looked up once: there are as many as labels of the metric.
        """
        key = (method, route, status)
        counted = self._answered.get(key)
        if counted is None:
            labels = self.requests.labels(method, route, str(status)), self.seconds.labels(route)
            counted = self._answered[key] = labels
        counted[0].inc()
        counted[1].observe(seconds)

    def exposition(self) -> tuple[bytes, str]:
        """Return the text exposition and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST
