"""How often the fast path was enough."""

from collections.abc import Iterable

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_IS_COMPILED = not __file__.endswith(".py")


class Outcomes(Collector):
    """Counts in one thread what Prometheus asks for seldom."""

    def __init__(self) -> None:
        self.answered = 0
        self.went_slow = 0

    def collect(self) -> Iterable[Metric]:
        """Yield what was counted."""
        counts = CounterMetricFamily(
            "gatehouse_gateway_fast_path",
            "Requests the fast path admitted: answered there, or left to the slow path.",
            labels=("outcome",),
        )
        counts.add_metric(("answered",), self.answered)
        counts.add_metric(("went_slow",), self.went_slow)
        compiled = GaugeMetricFamily(
            "gatehouse_gateway_compiled",
            "1 where requests pass machine code, as in the image; 0 where they pass the sources.",
            value=_IS_COMPILED,
        )
        return (counts, compiled)
