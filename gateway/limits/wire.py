"""One connection to Redis on which many questions are under way at once (RESP2, pipelined)."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from hiredis import HiredisError, Reader, ReplyError, pack_command

from chassis.logs import get_logger
from gateway.limits.endpoint import Endpoint
from gateway.limits.limiter import LimiterUnavailable
from gateway.limits.waiter import Awaited, Waiter

_NOT_YET: Final = object()
log = get_logger(__name__)


class Question:
    """A packed command, the loop's time until which its answer is of use, and who waits for it.

    An answer is read also for one who is gone: he may have something to put back.
    """

    __slots__ = ("deadline", "packed", "waiter")

    def __init__(self, packed: bytes, deadline: float, waiter: Waiter[Any]) -> None:
        self.packed = packed
        self.deadline = deadline
        self.waiter = waiter

    def tell(self, answer: object) -> None:
        """Tell who waits what Redis says."""
        try:
            self.waiter.tell(answer)
        except Exception as error:  # others are told after him
            log.exception("limits.crashed")
            self._fail(error)

    def fail(self, reason: str) -> None:
        """Tell who waits that there will be no answer."""
        self._fail(LimiterUnavailable(reason))

    def _fail(self, error: Exception) -> None:
        try:
            self.waiter.fail(error)
        except Exception:
            log.exception("limits.crashed")


def packed(*words: str | bytes | int) -> bytes:
    """Return a command as Redis reads it."""
    command: bytes = pack_command(words)  # type: ignore[arg-type]  # its stub says a tuple of one
    return command


class Wire(asyncio.Protocol):
    """Gives answers to questions in the order in which they were sent, as Redis does.

    An error reply is an answer too (a `ReplyError`). *on_lost* is told once, with the name of the
    reason, when the connection is gone without `close`; `waiting` are those it owes an answer, and
    LimiterUnavailable is what they get when there will be none. `gone` is set when it is closed.
    """

    def __init__(self, on_lost: Callable[["Wire", str], None]) -> None:
        self.waiting: deque[Question] = deque()
        self.gone = asyncio.Event()
        self._on_lost = on_lost
        self._reader = Reader(notEnoughData=_NOT_YET)
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def open(cls, endpoint: Endpoint, on_lost: Callable[["Wire", str], None]) -> "Wire":
        """Connect and greet. Raises OSError, LimiterUnavailable, or ReplyError for a greeting."""
        loop, wire = asyncio.get_running_loop(), cls(on_lost)
        if endpoint.path is not None:
            await loop.create_unix_connection(lambda: wire, endpoint.path)
        else:
            await loop.create_connection(
                lambda: wire, endpoint.host, endpoint.port, ssl=endpoint.tls
            )
        try:
            await wire._greet(endpoint)
        except BaseException:
            wire.close("GreetingFailed")
            raise
        return wire

    def send(self, questions: Sequence[Question]) -> None:
        """Send *questions* in one go."""
        self.waiting.extend(questions)
        if self._transport is not None:
            self._transport.write(b"".join([question.packed for question in questions]))

    def close(self, reason: str) -> None:
        """Drop the connection at once, and tell who still waits the *reason*."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        while self.waiting:
            self.waiting.popleft().fail(reason)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection over."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are not derived from it

    def data_received(self, data: bytes) -> None:
        """Hand out what has been answered."""
        try:
            self._reader.feed(data)
            while (answer := self._reader.gets()) is not _NOT_YET:
                self.waiting.popleft().tell(answer)
        except (HiredisError, IndexError) as error:  # not RESP, or nobody asked
            self._lose(type(error).__name__)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell that Redis hung up, unless it was us."""
        self.gone.set()
        self._lose(type(exc).__name__ if exc else "ConnectionClosed")

    async def _greet(self, endpoint: Endpoint) -> None:
        loop = asyncio.get_running_loop()
        for words in endpoint.greeting:
            waiter = Awaited[Any]()
            self.send([Question(packed(*words), loop.time(), waiter)])
            answer = await waiter.future
            if isinstance(answer, ReplyError):
                raise answer

    def _lose(self, reason: str) -> None:
        if self._transport is not None:
            self.close(reason)
            self._on_lost(self, reason)
