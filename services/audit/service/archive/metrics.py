"""What the archive tells Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class ArchiveMetrics:
    """Counters and gauges of the archive."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.configured = Gauge(
            "gatehouse_audit_archive_configured",
            "1 when there is a store for archives; without one nothing leaves the database.",
            registry=registry,
        )
        self.pending = Gauge(
            "gatehouse_audit_archive_partitions_pending",
            "Partitions past their retention that are still in the database.",
            registry=registry,
        )
        self.last_success = Gauge(
            "gatehouse_audit_archive_last_success_timestamp_seconds",
            "When a partition was last archived and read back (Unix time; 0: never).",
            registry=registry,
        )
        self.rows = Counter(
            "gatehouse_audit_archive_rows", "Rows written to the store.", registry=registry
        )
        self.bytes = Counter(
            "gatehouse_audit_archive_bytes", "Bytes written to the store.", registry=registry
        )
        self.failures = Counter(
            "gatehouse_audit_archive_failures",
            "Attempts to archive, or to read an archive, that failed.",
            ["reason"],
            registry=registry,
        )
        self.objects_read = Counter(
            "gatehouse_audit_archive_objects_read",
            "Objects fetched to answer a reader.",
            registry=registry,
        )
