"""One request on one connection to an upstream, from its first byte to the last of its answer."""

import asyncio
from collections.abc import AsyncIterator

from chassis.errors import Problem
from chassis.http1.connection import Connection
from chassis.http1.head import Headers
from chassis.http1.names import Origin
from chassis.http1.trouble import Trouble
from gateway.proxy.body import ClientGone, Patience

Content = AsyncIterator[bytes] | bytes | None
"""A body: streamed, whole, or none."""


class Call:
    """A request and its answer; `end` is the last call, and says whether to keep the connection."""

    def __init__(self, connection: Connection, patience: Patience, origin: Origin) -> None:
        self.connection = connection
        self.origin = origin
        self._patience = patience
        self._sending: asyncio.Task[None] | None = None

    @property
    def status(self) -> int:
        """Return the status of the answer."""
        return self.connection.status

    @property
    def headers(self) -> Headers:
        """Return the headers of the answer, names in lower case."""
        return self.connection.headers

    async def ask(self, head: bytes, content: Content, *, chunked: bool, bodyless: bool) -> None:
        """Send the request, and return as soon as the head of the answer is there.

        A stream goes on being sent meanwhile and after. Raises Trouble, TimeoutError; then, and
        when it is cancelled, the connection is closed, also one whose answer has just come.
        """
        connection = self.connection
        if content is None or isinstance(content, bytes):
            connection.begin(head + (content or b""), bodyless=bodyless)
        else:
            connection.begin(head, bodyless=bodyless)
            self._sending = asyncio.create_task(self._send(content, chunked=chunked))
        await self.answered()

    async def answered(self) -> None:
        """Return as soon as the head of the answer is there. Raises and closes as `ask` does."""
        try:
            while not self.connection.answered():
                await self._patience.wait(self.connection.news())
        except BaseException:
            self.end()
            self.connection.close()
            raise

    async def read(self) -> bytes:
        """Return the next piece of the answer's body, empty at its end.

        Raises Trouble, TimeoutError.
        """
        while (piece := self.connection.read()) is None:
            await self._patience.wait(self.connection.news())
        return piece

    @property
    def is_read(self) -> bool:
        """Whether what `read` returned was the last piece."""
        return self.connection.is_read

    def end(self) -> bool:
        """Stop sending; say whether the connection can serve another request, else close it."""
        sent = self._sending is None or self._sending.done()
        if self._sending is not None:
            self._sending.cancel()
        if sent and self.connection.kept_alive:
            return True
        self.connection.close()
        return False

    async def _send(self, content: AsyncIterator[bytes], *, chunked: bool) -> None:
        """Send the body as it comes; when it breaks off, so does the connection."""
        connection = self.connection
        try:
            async for piece in content:
                connection.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                await connection.drain()
            if chunked:
                connection.write(b"0\r\n\r\n")
        except (Problem, ClientGone, Trouble):
            connection.close()
