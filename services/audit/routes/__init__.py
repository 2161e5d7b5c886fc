"""The HTTP doors of audit, as a table."""

from dataclasses import dataclass

from starlette.routing import Route

from chassis.clock import Clock
from services.audit.routes import alerts, ip_blocks, log, statistics
from services.audit.service.alerts import Alerts
from services.audit.service.ip_blocks import IpBlocks
from services.audit.service.reading import Reading
from services.audit.service.statistics import Counting


@dataclass(frozen=True, slots=True, kw_only=True)
class UseCases:
    """Everything that is reached over HTTP."""

    reading: Reading
    blocks: IpBlocks
    alerts: Alerts
    counting: Counting
    clock: Clock


def routes(service: UseCases) -> list[Route]:
    """Return every route of the service."""
    return [
        *log.routes(service.reading),
        *ip_blocks.routes(service.blocks, service.clock),
        *alerts.routes(service.alerts),
        *statistics.routes(service.counting, service.clock),
    ]
