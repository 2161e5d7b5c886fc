"""What audit tells Prometheus."""

from collections.abc import Sequence
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.audit.domain.classification import RULES
from services.audit.domain.detection.rules import Rule
from services.audit.domain.leaves import LogRecord

_LAG_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3600.0)


class AuditMetrics:
    """Counters and gauges of the log; types nobody has classified count as `unknown`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.rows = Counter(
            "gatehouse_audit_rows", "Rows added to the log.", ["type"], registry=registry
        )
        self.lag = Histogram(
            "gatehouse_audit_lag_seconds",
            "Time from an event to its receipt, by the producer's and the database's clocks.",
            buckets=_LAG_BUCKETS,
            registry=registry,
        )
        self.erased = Counter(
            "gatehouse_audit_personal_records_erased",
            "Personal records deleted with their persons.",
            registry=registry,
        )
        self.missing = Gauge(
            "gatehouse_audit_missing_events",
            "Events a source numbered that no row of the log has.",
            ["source"],
            registry=registry,
        )
        self.default_rows = Gauge(
            "gatehouse_audit_default_partition_rows",
            "Rows that found no partition of their own; anything above 0 wants a look.",
            registry=registry,
        )
        self.alerts = Counter(
            "gatehouse_audit_alerts", "Alerts raised, by rule.", ["rule"], registry=registry
        )
        self.detector_lag = Gauge(
            "gatehouse_audit_detector_lag_seconds",
            "For how long the oldest recorded fact has been waiting for the detector.",
            registry=registry,
        )
        for rule in Rule:
            self.alerts.labels(rule.value)

    def recorded(self, records: Sequence[LogRecord], *, received_at: datetime) -> None:
        """Count committed rows."""
        for record in records:
            self.rows.labels(record.type if record.type in RULES else "unknown").inc()
            # As the clocks of two machines differ, an event may come from the future.
            lag = received_at - record.occurred_at.astimezone(UTC)
            self.lag.observe(max(0.0, lag.total_seconds()))
