"""What outbox and inbox tell Prometheus: one set of metrics per registry, shared by its users."""

from typing import Self
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class _PerRegistry:
    """Made once per registry: several consumers of one service count into the same metrics."""

    _made: WeakKeyDictionary[CollectorRegistry, Self]

    def __init_subclass__(cls) -> None:
        cls._made = WeakKeyDictionary()

    def __init__(self, registry: CollectorRegistry) -> None:
        raise NotImplementedError

    @classmethod
    def of(cls, registry: CollectorRegistry | None) -> Self:
        """Return the metrics of *registry*; without one they count for nobody."""
        registry = registry or CollectorRegistry()
        if registry not in cls._made:
            cls._made[registry] = cls(registry)
        return cls._made[registry]


class OutboxMetrics(_PerRegistry):
    """Counters and gauges of relay and pusher."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.published = Counter(
            "gatehouse_outbox_published", "Messages confirmed by the bus.", registry=registry
        )
        self.failures = Counter(
            "gatehouse_outbox_publish_failures",
            "Messages the bus did not confirm; they are published again.",
            registry=registry,
        )
        self.unroutable = Counter(
            "gatehouse_outbox_unroutable",
            "Attempts to publish a message that no queue wants.",
            registry=registry,
        )
        self.pushed = Counter(
            "gatehouse_outbox_pushed", "Urgent events acknowledged over HTTP.", registry=registry
        )
        self.push_failures = Counter(
            "gatehouse_outbox_push_failures", "Urgent pushes not acknowledged.", registry=registry
        )
        self.depth = Gauge(
            "gatehouse_outbox_depth", "Messages waiting to be published.", registry=registry
        )
        self.unpushed = Gauge(
            "gatehouse_outbox_unpushed", "Urgent events waiting to be pushed.", registry=registry
        )
        self.oldest = Gauge(
            "gatehouse_outbox_oldest_seconds",
            "Age of the oldest message waiting to be published, in seconds.",
            registry=registry,
        )


class InboxMetrics(_PerRegistry):
    """Counters and gauges of consumers, labelled by queue."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.processed = Counter(
            "gatehouse_inbox_processed",
            "Messages that had their effect.",
            ["queue"],
            registry=registry,
        )
        self.duplicates = Counter(
            "gatehouse_inbox_duplicates",
            "Messages that had come before and had no effect.",
            ["queue"],
            registry=registry,
        )
        self.failures = Counter(
            "gatehouse_inbox_failures", "Attempts that failed.", ["queue"], registry=registry
        )
        self.died = Counter(
            "gatehouse_inbox_died",
            "Messages put to the dead letters.",
            ["queue"],
            registry=registry,
        )
        self.dropped = Counter(
            "gatehouse_inbox_dead_dropped",
            "Dead letters deleted because there were too many.",
            ["queue"],
            registry=registry,
        )
        self.retrying = Gauge(
            "gatehouse_inbox_retrying",
            "Messages waiting for a retry.",
            ["queue"],
            registry=registry,
        )
        self.dead = Gauge(
            "gatehouse_inbox_dead",
            "Dead letters waiting for a person.",
            ["queue"],
            registry=registry,
        )
        self.lag = Histogram(
            "gatehouse_inbox_lag_seconds",
            "Time from the event to its effect, by the clocks of the two services.",
            ["queue"],
            buckets=(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3600.0),
            registry=registry,
        )
