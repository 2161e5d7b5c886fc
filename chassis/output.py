"""Standard output, as lines: at once, or those of one turn of the event loop together.

To write is a call into the kernel that wakes whoever reads: a busy loop makes one for many lines.
What waits is written before whatever is written at once, and at the end of the process; no turn
keeps more than a pipe takes in one piece.
"""

import asyncio
import sys
from collections import deque
from collections.abc import Callable
from typing import Final

_MOST: Final = 4096
"""PIPE_BUF on Linux: the lines of several processes on one pipe do not mix."""


def _put(text: str) -> None:
    """Write *text*; that nobody can read it fails no request."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except (OSError, ValueError):  # the pipe is closed: there is nowhere left to say so
        return


class Output:
    """Lines, in the order in which they were said, from whatever thread."""

    def __init__(self, put: Callable[[str], None] = _put) -> None:
        self._put = put
        self._waiting: deque[str] = deque()
        self._characters = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    def write(self, line: str) -> None:
        """Write *line*, with its end, now."""
        self.flush()
        self._put(line)

    def write_soon(self, line: str) -> None:
        """Write *line*, ASCII with its end, when this turn of the loop ends; now if there is none.

        It is lost when the process is killed (SIGKILL, a crash of the interpreter) before.
        """
        if self._characters + len(line) > _MOST:
            self.flush()
        self._waiting.append(line)
        self._characters += len(line)
        if self._loop is None or self._loop.is_closed():
            self._await_the_end()

    def flush(self) -> None:
        """Write what waits."""
        self._loop = None
        self._characters = 0
        if not self._waiting:
            return
        lines: list[str] = []
        while True:
            try:
                lines.append(self._waiting.popleft())
            except IndexError:  # asked for no sooner: another thread may take some of them
                break
        self._put("".join(lines))

    def _await_the_end(self) -> None:
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            self.flush()
        else:
            self._loop.call_soon(self.flush)


standard_output: Final = Output()
"""That of this process."""
