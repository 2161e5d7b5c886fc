"""The request's body on its way through, and the client behind it, who may leave at any time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import Receive

from chassis.errors import PayloadTooLarge, Problem, RequestTimeout

_IDLE_SECONDS = 30.0
_LEAST_BYTES_PER_SECOND = 500
_WHOLE_SECONDS = 30.0


CLIENT_CLOSED = "client_closed_request"


class ClientGone(Exception):  # noqa: N818 - a state of the world
    """The client closed the connection: nobody waits for an answer."""


class Patience:
    """How long an upstream may be silent, in seconds; news from the client starts it anew."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._timer: asyncio.Timeout | None = None

    @asynccontextmanager
    async def lasting(self, *, extra: float = 0.0) -> AsyncIterator[None]:
        """Wait inside this block, *extra* seconds longer. Raises TimeoutError."""
        async with asyncio.timeout(self._seconds + extra) as timer:
            self._timer = timer
            try:
                yield
            finally:
                self._timer = None

    def suspend(self) -> None:
        """Stop counting: it is the client that is waited for, and that has its own limit."""
        if self._timer is not None:
            self._timer.reschedule(None)

    def renew(self) -> None:
        """Begin to wait anew: the request itself is still arriving."""
        if self._timer is not None:
            self._timer.reschedule(asyncio.get_running_loop().time() + self._seconds)


class Leash:
    """Ends an exchange from outside, at once; `reason` says why, the first one counts."""

    def __init__(self, timer: asyncio.Timeout) -> None:
        self._timer = timer
        self.reason: str | None = None

    def end(self, reason: str) -> None:
        """Let the exchange fail with a TimeoutError."""
        if self.reason is None:
            self.reason = reason
            self._timer.reschedule(asyncio.get_running_loop().time())


class RequestBody:
    """Reads the client's messages: first the body, later the news that it left.

    *limit* is in bytes. `failure` says why the body broke off: the client library that sends it
    reports only that it did.
    """

    def __init__(self, receive: Receive, *, limit: int, patience: Patience) -> None:
        self._receive = receive
        self._limit = limit
        self._patience = patience
        self._left = _IDLE_SECONDS
        self._read = asyncio.Event()
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
            self._read.set()

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
        self._read.set()

    async def watch(self, leash: Leash) -> None:
        """Wait until the client leaves, then end the exchange."""
        await self._read.wait()
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
