"""How many requests an upstream works on at once, and how many wait for their turn."""

import asyncio

from chassis.logs import get_logger
from gateway.errors import UpstreamBusy
from gateway.routing.table import Bounds

log = get_logger(__name__)


class Slots:
    """Slots of one upstream and bulkhead: `async with` holds one. *names* stand in the log line."""

    def __init__(self, bounds: Bounds, **names: str) -> None:
        self._bounds = bounds
        self._names = names
        self._free = asyncio.Semaphore(bounds.requests)
        self._told = False
        self.held = 0
        """Requests that are being worked on."""
        self.waiting = 0
        """Requests that wait for a slot."""

    async def __aenter__(self) -> None:
        """Take a slot.

        Raises UpstreamBusy when too many wait already, or when none became free in time.
        """
        if self._free.locked():
            await self._wait()
        else:
            await self._free.acquire()  # does not wait
            self._told = False
        self.held += 1

    async def __aexit__(self, *_: object) -> None:
        """Give it back: who waits longest gets it."""
        self.held -= 1
        self._free.release()

    async def _wait(self) -> None:
        if self.waiting >= self._bounds.waiting:
            raise self._busy()
        self.waiting += 1
        try:
            async with asyncio.timeout(self._bounds.wait_seconds):
                await self._free.acquire()
        except TimeoutError:
            raise self._busy() from None
        finally:
            self.waiting -= 1

    def _busy(self) -> UpstreamBusy:
        if not self._told:  # until a slot is free again
            log.warning("upstream.busy", requests=self.held, waiting=self.waiting, **self._names)
        self._told = True
        return UpstreamBusy(retry_after=1)
