"""Everything this process asks Redis in one turn of its loop, sent as one piece on one connection.

A call of its own costs a decision several times what the decision costs.
"""

import asyncio
from itertools import chain
from typing import Any, Final

from hiredis import ReplyError

from gateway.limits.endpoint import Endpoint
from gateway.limits.limiter import LimiterUnavailable
from gateway.limits.waiter import Waiter
from gateway.limits.wire import Question, Wire

# Beyond, Redis answers more slowly than it is asked: memory decides, and nothing piles up.
_MOST_UNANSWERED: Final = 5_000
# After a deadline what has arrived meanwhile is read first: it was this process that was late.
_LAST_LOOK_SECONDS: Final = 0.01


class Pipeline:
    """Asks Redis; each question has *timeout* seconds, connecting included, from its asking on.

    The connection is made by the first question, and again by the next one after it was lost: one
    attempt for all who ask meanwhile. When a question's time is over the connection is given up,
    with everybody who waits behind it.
    """

    def __init__(self, endpoint: Endpoint, *, timeout: float) -> None:
        self._endpoint = endpoint
        self.timeout = timeout
        self._unsent: list[Question] = []
        self._wire: Wire | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._late: Question | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def ask(self, packed: bytes, waiter: Waiter[Any]) -> None:
        """Ask a *packed* command; *waiter* is told Redis' answer: an error reply is one too.

        He fails with LimiterUnavailable, maybe at once, when there is none. Who is gone before
        this turn of the loop is over is not asked for.
        """
        if self._unanswered >= _MOST_UNANSWERED:
            waiter.fail(LimiterUnavailable("TooManyUnanswered"))
            return
        loop = self.loop
        question = Question(packed, loop.time() + self.timeout, waiter)
        if not self._unsent:
            loop.call_soon(self._flush)
        self._unsent.append(question)
        if self._timer is None:
            self._timer = loop.call_at(question.deadline, self._expire)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop of this process, which is costly to ask for each time."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop

    async def close(self) -> None:
        """Hang up; who still waits gets LimiterUnavailable."""
        connecting, wire = self._connecting, self._wire
        self._give_up("Closed")
        if connecting is not None:
            await asyncio.wait([connecting])
        if wire is not None:
            async with asyncio.timeout(self.timeout):
                await wire.gone.wait()

    @property
    def _unanswered(self) -> int:
        return len(self._unsent) + (len(self._wire.waiting) if self._wire else 0)

    def _flush(self) -> None:
        """Send what this turn has asked, but for those who have already gone away."""
        if self._wire is not None:
            asked, self._unsent = self._unsent, []
            wanted: list[Question] = []
            for question in asked:
                if question.waiter.gone:
                    question.fail("Gone")
                else:
                    wanted.append(question)
            if wanted:
                self._wire.send(wanted)
        elif self._unsent and self._connecting is None:
            self._connecting = asyncio.create_task(self._connect())

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(self.timeout):
                self._wire = await Wire.open(self._endpoint, self._on_lost)
        except (OSError, TimeoutError, ReplyError, LimiterUnavailable) as error:
            self._connecting = None
            self._give_up(type(error).__name__)
        else:
            self._connecting = None
            self._flush()

    def _on_lost(self, wire: Wire, reason: str) -> None:
        if wire is self._wire:
            self._give_up(reason)

    def _expire(self) -> None:
        """Look whether the oldest question is overdue; set the timer by it."""
        self._timer = None
        loop, oldest = self.loop, self._oldest()
        if oldest is None:
            return
        if oldest.deadline > loop.time():
            self._timer = loop.call_at(oldest.deadline, self._expire)
        elif oldest is not self._late:
            self._late = oldest
            self._timer = loop.call_later(_LAST_LOOK_SECONDS, self._expire)
        else:
            self._give_up("TimeoutError")

    def _oldest(self) -> Question | None:
        """Return who of those who still wait has asked first."""
        waiting = self._wire.waiting if self._wire is not None else ()
        for question in chain(waiting, self._unsent):
            if not question.waiter.gone:
                return question
        return None

    def _give_up(self, reason: str) -> None:
        """Drop the connection, or the attempt to make one, and tell everybody who waits."""
        wire, self._wire = self._wire, None
        connecting, self._connecting = self._connecting, None
        timer, self._timer = self._timer, None
        unsent, self._unsent = self._unsent, []
        self._late = None
        if timer is not None:
            timer.cancel()
        if connecting is not None:
            connecting.cancel()
        if wire is not None:
            wire.close(reason)
        for question in unsent:
            question.fail(reason)
