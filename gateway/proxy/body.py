"""The request's body on its way through, and the client behind it, who may leave at any time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine

from starlette.types import Receive

from chassis.errors import PayloadTooLarge, Problem, RequestTimeout

_IDLE_SECONDS = 30.0
_LEAST_BYTES_PER_SECOND = 500
_WHOLE_SECONDS = 30.0
_UNWATCHED_SECONDS = 0.05


CLIENT_CLOSED = "client_closed_request"


class ClientGone(Exception):  # noqa: N818 - a state of the world
    """The client closed the connection: nobody waits for an answer."""


class Patience:
    """How long an upstream may be silent, in seconds; news from the client starts it anew.

    One that has not *begun* counts from `begin` on.
    """

    def __init__(self, seconds: float, *, begun: bool = True) -> None:
        self._seconds = seconds
        self._begun = begun
        self._waiting: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._suspended = False

    async def wait(self, news: asyncio.Future[None]) -> None:
        """Wait for *news* of the upstream. Raises TimeoutError."""
        self._waiting = news
        if self._begun:
            self._start()
        try:
            await news
        finally:
            if self._timer is not None:
                self._stop()
            self._waiting = None

    def begin(self) -> None:
        """Count from now on."""
        self._begun = True
        self._start()

    def suspend(self) -> None:
        """Stop counting: it is the client that is waited for, and that has its own limit."""
        self._suspended = True
        self._stop()

    def renew(self) -> None:
        """Begin to wait anew: the request itself is still arriving."""
        self._suspended = False
        self._start()

    def _start(self) -> None:
        self._stop()
        if self._waiting is not None and self._begun and not self._suspended:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._seconds, self._give_up, self._waiting)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self, news: asyncio.Future[None]) -> None:
        if not news.done():
            news.set_exception(TimeoutError())


class Leash:
    """Ends an exchange from outside, at once; `reason` says why, the first one counts.

    Most exchanges have ended before anybody looks. As a context it waits for the others, and then
    has begun what is there for exchanges that last: one timer for all of it. *seconds* bound the
    exchange as a whole.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._begins: list[Callable[[], None]] = []
        self._lasts = self._broken_off = False
        self._watch: asyncio.Task[None] | None = None
        self.reason: str | None = None

    def __enter__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task(self._loop)
        self._began = self._loop.time()
        self._timer = self._loop.call_later(_UNWATCHED_SECONDS, self._last)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._timer.cancel()
        self._begins.clear()  # they know us: nobody else would free them but the collector
        if self._watch is not None:
            self._watch.cancel()
        if self._broken_off and self._task is not None:
            # As asyncio.timeout does it: nobody else has cancelled the task meanwhile.
            ours_alone = self._task.uncancel() == 0
            if ours_alone and kind is asyncio.CancelledError:
                raise TimeoutError from None

    def once_it_lasts(self, begin: Callable[[], None]) -> None:
        """Call *begin* when the exchange has lasted a twentieth of a second."""
        if self._lasts:
            begin()
        else:
            self._begins.append(begin)

    def watch(self, watching: Coroutine[None, None, None]) -> None:
        """Run *watching* beside the exchange until that has ended."""
        self._watch = asyncio.create_task(watching)

    def end(self, reason: str) -> None:
        """Let the exchange fail with a TimeoutError."""
        if self.reason is None and not self._broken_off:
            self.reason = reason
            self._timer.cancel()
            self._timer = self._loop.call_later(0, self._break_off)

    def _last(self) -> None:
        self._lasts = True
        if self._seconds is not None:
            self._timer = self._loop.call_at(self._began + self._seconds, self._break_off)
        for begin in self._begins:
            begin()

    def _break_off(self) -> None:
        if self._task is not None:
            self._broken_off = self._task.cancel()


class RequestBody:
    """Reads the client's messages: first the body, later the news that it left.

    *limit* is in bytes. `failure` says why the body broke off: the connection to the upstream knows
    only that it did.
    """

    def __init__(self, receive: Receive, *, limit: int, patience: Patience) -> None:
        self._receive = receive
        self._limit = limit
        self._patience = patience
        self._left = _IDLE_SECONDS
        self._is_read = False
        self._until_read: asyncio.Future[None] | None = None
        self.failure: Problem | ClientGone | None = None
        self.answered = False

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives.

        Raises PayloadTooLarge, RequestTimeout (nothing for 30 s, or a drip), ClientGone.
        """
        size = 0
        more = True
        try:
            while more:
                self._patience.suspend()
                piece, more = await self._next()
                size += len(piece)
                if size > self._limit:
                    raise PayloadTooLarge(headers={"Connection": "close"})
                self._patience.renew()
                if piece:
                    yield piece
        except (Problem, ClientGone) as failure:
            self.failure = failure
            raise
        finally:
            self._patience.renew()
            self.skip()

    async def whole(self) -> bytes:
        """Return the body once it is there to its end, which may take 30 s in all.

        Raises as `chunks` does.
        """
        try:
            async with asyncio.timeout(_WHOLE_SECONDS):
                return b"".join([piece async for piece in self.chunks()])
        except TimeoutError:
            raise RequestTimeout(headers={"Connection": "close"}) from None

    def skip(self) -> None:
        """Say that there is no body to read: only the client's leaving is of interest."""
        self._is_read = True
        if self._until_read is not None and not self._until_read.done():
            self._until_read.set_result(None)

    def watch(self, leash: Leash) -> None:
        """End the exchange when the client leaves, once it lasts."""
        leash.once_it_lasts(lambda: leash.watch(self._watch(leash)))

    async def _watch(self, leash: Leash) -> None:
        if not self._is_read:
            self._until_read = asyncio.get_running_loop().create_future()
            await self._until_read
        while (await self._receive())["type"] != "http.disconnect":
            pass  # what is left of a body the upstream did not want
        if not self.answered:
            self.failure = ClientGone()
            leash.end(CLIENT_CLOSED)

    async def _next(self) -> tuple[bytes, bool]:
        """Wait for the next piece: what is sent buys time to wait, up to 30 s.

        One octet now and then would else hold a slot of the upstream for as long as it likes.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(self._left):
                message = await self._receive()
        except TimeoutError:
            raise RequestTimeout(headers={"Connection": "close"}) from None
        if message["type"] == "http.disconnect":
            raise ClientGone
        piece: bytes = message.get("body", b"")
        earned = len(piece) / _LEAST_BYTES_PER_SECOND
        self._left = min(_IDLE_SECONDS, self._left - (loop.time() - began) + earned)
        return piece, message.get("more_body", False)
