"""What a gateway holds while it answers a million requests."""

from collections.abc import Sequence

from bench.figures import Table, verdict
from bench.gateway.ground import System
from bench.gateway.measuring import Meter, rss_mib
from bench.gateway.report import MAX_MIB

MAX_GROWTH_MIB = 2
"""After the first tenth, which fills what is bounded; the allocator alone moves by as much."""

_TENTHS = 10
_SLICE_SECONDS = 2


def watch(meter: Meter, systems: Sequence[System], *, requests: int) -> None:
    """Load each system with *requests*, tell what it holds after every tenth, and judge."""
    table = Table("requests", "RSS MiB", decimals=1)
    for system in systems:
        table.add(system.name, 0, rss_mib(system))
        held = [_tenth(meter, system, table, requests // _TENTHS) for _ in range(_TENTHS)]
        verdict(f"{system.name} RSS MiB", max(held), MAX_MIB, at_most=True)
        verdict(f"{system.name} growth MiB", held[-1] - held[0], MAX_GROWTH_MIB, at_most=True)


def _tenth(meter: Meter, system: System, table: Table, requests: int) -> float:
    until = system.sent + requests
    while system.sent < until:
        answered = meter.saturate(system, seconds=_SLICE_SECONDS)
        if answered.bad or not answered.requests:
            raise SystemExit(f"{system.name}: {answered.bad} answers were bad")
    held = rss_mib(system)
    table.add(system.name, system.sent, held)
    return held
