"""The places of each door."""

from collections.abc import Mapping

from chassis.metrics import Metrics
from gateway.address import ClientAddresses
from gateway.connections.descriptors import most_connections
from gateway.connections.metrics import ConnectionMetrics
from gateway.connections.places import Places
from gateway.connections.protocol import CountedProtocol, counted
from gateway.protocol import GatewayProtocol
from gateway.settings import GatewaySettings

_SHARE_OF_OTHERS = 8


def protocols_of(
    settings: GatewaySettings, metrics: Metrics, *, public: type[GatewayProtocol]
) -> Mapping[str, type[CountedProtocol]]:
    """Return the protocol of each door, by name; *public* is what the public one speaks.

    What proxies ask at a door of their own has a share of the places that the public cannot take:
    with all connections of the one held by strangers, the products behind the other go on.
    """
    total, told = most_connections(settings.max_connections), ConnectionMetrics(metrics)
    others = [door for door in settings.doors if door != "http"]
    share = max(1, total // _SHARE_OF_OTHERS)
    most = {"http": total - share * len(others)} | dict.fromkeys(others, share)
    return {
        door: counted(
            public if door == "http" else GatewayProtocol,
            Places(
                door,
                most=places,
                per_address=settings.max_connections_per_address,
                peers=ClientAddresses(settings.trusted_proxies),
                metrics=told,
            ),
        )
        for door, places in most.items()
    }
