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

    def holding(self, address: Address, *, taken: bool = False) -> AbstractContextManager[None]:
        """Hold one place of *address* while the block runs, or the one that is *taken* for it.

        Raises TooManyOpenRequests.
        """
        return _Place(self, limit_key(address), taken=taken)

    def take(self, key: str) -> None:
        """Take a place of *key*. Raises TooManyOpenRequests."""
        if not self.take_if_free(key):
            self._refused.inc()
            raise TooManyOpenRequests(retry_after=1)

    def take_if_free(self, key: str) -> bool:
        """Take a place of *key* if there is one, and say whether there was."""
        held = self._open.get(key, 0)
        if held >= self._most:
            return False
        self._open[key] = held + 1
        return True

    def give_back(self, key: str) -> None:
        """Give a place of *key* back."""
        held = self._open.pop(key) - 1
        if held:
            self._open[key] = held


class _Place(AbstractContextManager[None]):
    def __init__(self, places: OpenRequests, key: str, *, taken: bool) -> None:
        self._places = places
        self._key = key
        self._taken = taken

    def __enter__(self) -> None:
        if not self._taken:
            self._places.take(self._key)

    def __exit__(self, *_: object) -> None:
        self._places.give_back(self._key)
