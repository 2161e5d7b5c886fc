"""The metrics of all workers as one exposition: each sample says of which worker it is.

Nothing is summed: an age is no sum, and a sum would fall when a worker ends, which Prometheus takes
for a new beginning of them all.
"""

from collections.abc import Iterable, Mapping

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

LABEL = "worker"


class Joined:
    """What `generate_latest` writes of the texts that the workers gave, by the workers' names."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts

    def collect(self) -> Iterable[Metric]:
        """Return each family once, with the samples of all workers."""
        joined: dict[str, Metric] = {}
        for worker, text in self._texts.items():
            for family in text_string_to_metric_families(text):
                present = joined.setdefault(
                    family.name, Metric(family.name, family.documentation, family.type)
                )
                present.samples += [
                    sample._replace(labels={**sample.labels, LABEL: worker})
                    for sample in family.samples
                ]
        return joined.values()
