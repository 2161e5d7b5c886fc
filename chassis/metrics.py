"""Prometheus metrics: one registry per deployable, so that several fit into one process."""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_BOUNDS = (*map(str, _BUCKETS), "+Inf")


class Metrics:
    """The metrics every deployable has; rooms add their own to `registry`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.problems = Counter(
            "gatehouse_problems",
            "Errors answered, by their code.",
            ("code",),
            registry=self.registry,
        )
        self._answers = _Answers()
        self.registry.register(self._answers)
        self.answered = self._answers.count
        self.in_flight = 0
        """Requests being answered now."""
        Gauge(
            "gatehouse_http_requests_in_flight",
            "Requests being answered now.",
            registry=self.registry,
        ).set_function(lambda: self.in_flight)

    def exposition(self) -> tuple[bytes, str]:
        """Return the text exposition and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST


@dataclass(slots=True)
class _Times:
    """How long the answers of one route took: how many fell into each bucket, and seconds."""

    buckets: list[int] = field(default_factory=lambda: [0] * len(_BOUNDS))
    seconds: float = 0.0


class _Answers(Collector):
    """Counts requests in one thread; what Prometheus wants to know of it is made when it asks.

    Its own counter and histogram lock and look through their buckets on every request.
    """

    def __init__(self) -> None:
        self._requests: dict[tuple[str, str, int], int] = {}
        self._times: dict[str, _Times] = {}

    def count(self, method: str, route: str, status: int, *, seconds: float) -> None:
        """Count a request that was answered."""
        key = (method, route, status)
        self._requests[key] = self._requests.get(key, 0) + 1
        times = self._times.get(route)
        if times is None:
            times = self._times[route] = _Times()
        times.buckets[bisect_left(_BUCKETS, seconds)] += 1
        times.seconds += seconds

    def collect(self) -> Iterable[Metric]:
        """Yield what was counted."""
        requests = CounterMetricFamily(
            "gatehouse_http_requests", "Requests answered.", labels=("method", "route", "status")
        )
        for (method, route, status), count in tuple(self._requests.items()):
            requests.add_metric((method, route, str(status)), count)
        seconds = HistogramMetricFamily(
            "gatehouse_http_request_seconds",
            "Time from the request's arrival to the end of its answer.",
            labels=("route",),
        )
        for route, times in tuple(self._times.items()):
            buckets = list(zip(_BOUNDS, accumulate(times.buckets), strict=True))
            seconds.add_metric((route,), buckets, sum_value=times.seconds)
        return requests, seconds
