"""How many requests an upstream works on at once, and how many wait for their turn."""

import asyncio
from collections import deque

from chassis.logs import get_logger
from gateway.errors import UpstreamBusy
from gateway.routing.table import Bounds

log = get_logger(__name__)


class Slots:
    """Slots of one upstream and bulkhead: `async with` holds one. *names* stand in the log line."""

    def __init__(self, bounds: Bounds, **names: str) -> None:
        self._bounds = bounds
        self._names = names
        self._queue: deque[asyncio.Future[None]] = deque()
        self._told = False
        self.held = 0
        """Requests that are being worked on."""

    @property
    def waiting(self) -> int:
        """Requests that wait for a slot."""
        return len(self._queue)

    async def __aenter__(self) -> None:
        """Take a slot.

        Raises UpstreamBusy when too many wait already, or when none became free in time.
        """
        if not self.take():
            await self._wait()

    async def __aexit__(self, *_: object) -> None:
        """Give it back."""
        self.give_back()

    def take(self) -> bool:
        """Take a slot if there is one for whoever comes now."""
        if self.held >= self._bounds.requests:
            return False
        self.held += 1
        self._told = False
        return True

    def give_back(self) -> None:
        """Give a slot back: who waits longest gets it."""
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)  # the slot stays held
                return
        self.held -= 1

    async def _wait(self) -> None:
        if self.waiting >= self._bounds.waiting:
            raise self._busy()
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            async with asyncio.timeout(self._bounds.wait_seconds):
                await turn
        except BaseException as error:
            self._leave(turn)
            if isinstance(error, TimeoutError):
                raise self._busy() from None
            raise

    def _leave(self, turn: asyncio.Future[None]) -> None:
        """Wait no more; a slot that was given meanwhile is for the next."""
        if turn.done() and not turn.cancelled():
            self.give_back()
        elif turn in self._queue:
            self._queue.remove(turn)

    def _busy(self) -> UpstreamBusy:
        if not self._told:  # until a slot is free again
            log.warning("upstream.busy", requests=self.held, waiting=self.waiting, **self._names)
        self._told = True
        return UpstreamBusy(retry_after=1)
