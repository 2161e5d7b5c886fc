"""SIGHUP: read again what may change while the process runs.

A terminal that goes away sends the same signal to what was started in it: then the process ends in
good order, as it does on SIGTERM. One that was started under `nohup` stays.
"""

import asyncio
import os
import signal
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from chassis.app import Reload
from chassis.logs import get_logger

log = get_logger(__name__)


class Reloading(Protocol):
    """A deployable, or what else reads something again; None: it has nothing to read."""

    @property
    def name(self) -> str:
        """Return what it is called in the log."""
        ...

    @property
    def reload(self) -> Reload | None:
        """Return what to call."""
        ...


class Hangups:
    """Calls `reload` of the deployables that have one, one hang-up after the other.

    Hang-ups that come while a reload runs share the next one. *stop* is set when the terminal is
    gone. Use as an async context manager.
    """

    def __init__(self, deployables: Sequence[Reloading], stop: asyncio.Event) -> None:
        self._deployables = deployables
        self._stop = stop
        self._came = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        self._of_a_terminal = _has_terminal() and not ignored

    async def __aenter__(self) -> Self:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._hear)
        self._task = asyncio.create_task(self._watch(), name="hangups")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _hear(self) -> None:
        if self._of_a_terminal and not _has_terminal():
            self._stop.set()
        else:
            self._came.set()

    async def _watch(self) -> None:
        while True:
            await self._came.wait()
            self._came.clear()
            for deployable in self._deployables:
                if deployable.reload is not None:
                    await _call(deployable.name, deployable.reload)


async def _call(name: str, reload: Reload) -> None:
    """Reload one; what it did not expect must not end what it serves."""
    try:
        await reload()
    except Exception:
        log.exception("reload.crashed", deployable=name)


def _has_terminal() -> bool:
    """Say whether the process has a controlling terminal (tty(4))."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
