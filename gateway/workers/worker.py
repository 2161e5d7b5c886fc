"""One worker process as its parent sees it."""

import asyncio
import json
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Self

from gateway.workers.channel import Channel, Question, Unanswered

_ASK_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Inheritance:
    """The file descriptors a worker is born with: its end of the channel, the bound doors."""

    channel: int
    doors: dict[str, int]

    @classmethod
    def read(cls, text: str) -> Self:
        """Return what the parent has written on the command line."""
        return cls(**json.loads(text))

    def __str__(self) -> str:
        return json.dumps(asdict(self))


class Worker:
    """A running worker, or one that has just ended."""

    def __init__(self, process: Process, channel: Channel) -> None:
        self._process = process
        self._channel = channel

    @classmethod
    async def start(cls, doors: Mapping[str, socket.socket]) -> Self:
        """Start one that serves at *doors*. Raises OSError.

        A session of its own keeps Ctrl-C from it: the parent stops all of them in good order.
        """
        ours, theirs = socket.socketpair()
        inheritance = Inheritance(
            channel=theirs.fileno(), doors={name: door.fileno() for name, door in doors.items()}
        )
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gateway.workers", str(inheritance)),
                stdin=DEVNULL,
                pass_fds=(inheritance.channel, *inheritance.doors.values()),
                start_new_session=True,
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        return cls(process, Channel(*await asyncio.open_unix_connection(sock=ours)))

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    async def ask(self, question: Question, *, within: float | None = _ASK_SECONDS) -> bytes:
        """Return what it answers. Raises Unanswered."""
        return await self._channel.ask(question, within=within)

    async def answers(self) -> bool:
        """Wait until it answers for the first time (True), or has ended."""
        try:
            await self.ask("live", within=None)
        except Unanswered:
            return False
        return True

    async def ended(self) -> int:
        """Wait for its end and return the exit code; negative is the signal it died of."""
        code = await self._process.wait()
        await self._channel.close()
        return code

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; harmless when it has ended."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)
