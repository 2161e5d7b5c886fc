"""The HTTP doors of audit, as a table."""

from starlette.routing import Route

from chassis.clock import Clock
from services.audit.routes import ip_blocks, log
from services.audit.service.ip_blocks import IpBlocks
from services.audit.service.reading import Reading


def routes(reading: Reading, blocks: IpBlocks, clock: Clock) -> list[Route]:
    """Return every route of the service."""
    return [*log.routes(reading), *ip_blocks.routes(blocks, clock)]
