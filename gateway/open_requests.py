"""How many requests of one client may be open at once, whatever they wait for.

A rate says how many may begin; a client whose requests never end could within every rate hold all
connections to an upstream.
"""

from contextlib import AbstractContextManager

from prometheus_client import Counter

from chassis.metrics import Metrics
from chassis.networks import Address
from gateway.address import limit_key
from gateway.errors import TooManyOpenRequests


class OpenRequests:
    """Counts open requests per address (IPv6: per /64), each process for itself; none is exempt."""

    def __init__(self, most: int, metrics: Metrics) -> None:
        self._most = most
        self._open: dict[str, int] = {}
        self._refused = Counter(
            "gatehouse_gateway_open_requests_refused",
            "Requests refused because their address had too many open already.",
            registry=metrics.registry,
        )

    def __len__(self) -> int:
        return len(self._open)

    def holding(self, address: Address) -> AbstractContextManager[None]:
        """Hold one place of *address* while the block runs. Raises TooManyOpenRequests."""
        return _Place(self, limit_key(address))

    def take(self, key: str) -> None:
        """Take a place of *key*. Raises TooManyOpenRequests."""
        held = self._open.get(key, 0)
        if held >= self._most:
            self._refused.inc()
            raise TooManyOpenRequests(retry_after=1)
        self._open[key] = held + 1

    def give_back(self, key: str) -> None:
        """Give a place of *key* back."""
        held = self._open.pop(key) - 1
        if held:
            self._open[key] = held


class _Place(AbstractContextManager[None]):
    def __init__(self, places: OpenRequests, key: str) -> None:
        self._places = places
        self._key = key

    def __enter__(self) -> None:
        self._places.take(self._key)

    def __exit__(self, *_: object) -> None:
        self._places.give_back(self._key)
