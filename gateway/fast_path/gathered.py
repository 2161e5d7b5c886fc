"""What is written in one turn of the loop, sent at its end, back to back.

Each write wakes the process or the host that reads it. Between two turns' worth of work it falls
asleep again; what comes back to back finds it awake.
"""

import asyncio

from chassis.logs import get_logger

log = get_logger(__name__)


class GatheredWrites:
    """Writes to transports, in order, once what the loop has at hand is done."""

    def __init__(self) -> None:
        self._waiting: list[tuple[asyncio.Transport, bytes]] = []

    def write(self, transport: asyncio.Transport, data: bytes) -> None:
        """Send *data* at the end of this turn; who closes or writes by itself flushes before."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self.flush)
        self._waiting.append((transport, data))

    def flush(self) -> None:
        """Send what waits."""
        waiting, self._waiting = self._waiting, []
        for transport, data in waiting:
            try:
                if not transport.is_closing():
                    transport.write(data)
            except Exception:
                log.exception("fast_path.crashed")
                transport.abort()
