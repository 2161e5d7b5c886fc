"""How routes and pages are put together: the built-in file, and the one of `ROUTES_FILE`."""

from dataclasses import dataclass

from chassis.metrics import Metrics
from gateway.pages.hosted import MAILED, REFERENCE, HostedPages
from gateway.routing.live import LiveRoutes
from gateway.routing.loading import BUILT_IN, Surroundings, load_table
from gateway.routing.table import RouteTable
from gateway.settings import GatewaySettings


@dataclass(frozen=True, slots=True)
class Site:
    """What is there to be asked for."""

    routes: LiveRoutes
    pages: HostedPages


def site_of(settings: GatewaySettings, metrics: Metrics) -> Site:
    """Build it. Raises RoutesInvalid."""
    pages = HostedPages(*MAILED, *(REFERENCE if settings.serves_docs else ()))
    return Site(LiveRoutes(lambda: _read(settings, pages), metrics), pages)


def _read(settings: GatewaySettings, pages: HostedPages) -> RouteTable:
    switches = {"dev_inbox": settings.dev_inbox, "docs": settings.serves_docs}
    surroundings = Surroundings(
        services=settings.services,
        rates=settings.rates,
        flags=frozenset({settings.environment} | {name for name, on in switches.items() if on}),
        pages=pages.names,
        secrets=settings.secrets,
    )
    own = (settings.routes_file,) if settings.routes_file else ()
    return load_table(surroundings, BUILT_IN, *own)
