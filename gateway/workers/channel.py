"""How a parent asks its workers: over a pair of sockets, one line a question, in any order.

A question is `NUMBER NAME`, an answer `NUMBER LENGTH` and then so many bytes. The channel is also
how a worker learns that its parent is gone, however that has ended: then it reads the end.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Literal

from chassis.app import Deployable
from chassis.logs import get_logger

Question = Literal["live", "health", "metrics"]

log = get_logger(__name__)


class Unanswered(Exception):  # noqa: N818 - a state of the world
    """The worker is gone, or says nothing in time."""


class Channel:
    """The parent's end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._asked = 0
        self._open: dict[int, asyncio.Future[bytes]] = {}
        self._task = asyncio.create_task(self._listen(reader), name="channel")

    async def ask(self, question: Question, *, within: float | None) -> bytes:
        """Return the answer; *within* are seconds, None is for ever. Raises Unanswered."""
        if self._task.done():
            raise Unanswered
        self._asked += 1
        number = self._asked
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._open[number] = answer
        try:
            async with asyncio.timeout(within):
                self._writer.write(f"{number} {question}\n".encode())
                return await answer
        except (TimeoutError, ConnectionError):
            raise Unanswered from None
        finally:
            self._open.pop(number, None)

    async def close(self) -> None:
        """Hang up."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._writer.close()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while line := await reader.readline():
                number, length = map(int, line.split())
                body = await reader.readexactly(length)
                answer = self._open.get(number)
                if answer is not None and not answer.done():
                    answer.set_result(body)
        for waiting in self._open.values():
            if not waiting.done():
                waiting.set_exception(Unanswered())


@asynccontextmanager
async def answering(
    end: socket.socket, deployable: Deployable, *, on_alone: Callable[[], None]
) -> AsyncIterator[None]:
    """Answer for *deployable* on the worker's *end*; *on_alone* is called when the parent is gone.

    So it is when answering fails: a worker that cannot be asked shall not go on.
    """
    reader, writer = await asyncio.open_unix_connection(sock=end)

    async def answer() -> None:
        await _answer_all(reader, writer, deployable)
        on_alone()

    task = asyncio.create_task(answer(), name="channel")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        writer.close()


async def _answer_all(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, deployable: Deployable
) -> None:
    """Answer until the parent is gone, or answering fails."""
    try:
        while line := await reader.readline():
            number, question = line.decode().split()
            body = await _answer(question, deployable)
            writer.write(f"{number} {len(body)}\n".encode() + body)
            await writer.drain()
    except OSError as error:
        log.warning("channel.broken", error=type(error).__name__)
    except Exception:
        log.exception("channel.crashed")


async def _answer(question: str, deployable: Deployable) -> bytes:
    if question == "health":
        return json.dumps(await deployable.health.failing()).encode()
    return deployable.metrics.exposition()[0] if question == "metrics" else b""
